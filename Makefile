# Everything runs from .venv, which the first target that needs it creates.

# The Python to create .venv with: the first of these that is 3.11 or later. Override: make PYTHON=...
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; \
	done)

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
BOOK := $(VENV)/bin/jupyter-book build .
NOTEBOOKS = find chapters -name '*.ipynb' -not -path '*/.ipynb_checkpoints/*'
# Parallelism is over processes of one thread each: two OpenMP threads in one process were slower.
JOBS ?= 2
export OMP_NUM_THREADS = 1
export MKL_NUM_THREADS = 1
# Notebooks run in the kernel of .venv, whatever kernels the machine or the user has installed.
export JUPYTER_PREFER_ENV_PATH = 1
export PYDEVD_DISABLE_FILE_VALIDATION = 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help book test lab lint format unit coursework notebooks pages test-pages execute experiments bench release grade test-coursework measure-coursework repository clean lock
.DELETE_ON_ERROR:

help: ## list the targets
	@echo "Convolutional Networks That Train. Targets:"
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'
	@echo "Variables: PYTHON (creates .venv), JOBS=$(JOBS) (parallel processes)."

book: $(STAMP) ## set up, build the pages, say how to open them
	@$(call say,building the pages)
	@$(BOOK) -q > /dev/null
	@echo
	@echo "The book is built. Open it in a browser:"
	@echo "  $(CURDIR)/_build/html/index.html"
	@echo "or serve it, if your browser restricts local files:"
	@echo "  $(PY) -m http.server --directory _build/html 8000    then http://localhost:8000"

# When the tests have passed, .stamps/tested keeps the hash of every file they could depend on.
# While it is the same, there is nothing to find out. (No sha256sum, no hash: then they always run.)
ifneq ($(filter test,$(MAKECMDGOALS)),)
TREE := $(shell find . \( -path ./.git -o -path ./$(VENV) -o -path ./_build -o -path ./.stamps \
	-o -name __pycache__ -o -name '.*_cache' -o -name .hypothesis -o -name '*.egg-info' \
	-o -name .ipynb_checkpoints \) -prune -o -type f ! -name '.coverage*' -print0 \
	| LC_ALL=C sort -z | xargs -0 sha256sum 2>/dev/null | sha256sum 2>/dev/null | cut -d' ' -f1)
PASSED := $(if $(FORCE),,$(shell cat .stamps/tested 2>/dev/null))
endif

STAGES := $(if $(filter $(TREE),$(PASSED)),,lint unit coursework notebooks pages test-pages)

test: $(STAMP) $(STAGES) ## set up, run every check and every test, and stop at the first failure
	@mkdir -p .stamps && echo $(TREE) > .stamps/tested
	@$(call say,$(if $(STAGES),all tests passed,nothing has changed since every test passed; make test FORCE=1 runs them again))

lab: $(STAMP) ## open the notebooks in JupyterLab
	@$(PY) -m jupyterlab --notebook-dir=.

lint: $(STAMP) ## check code style, formatting and spelling
	@$(call say,lint: ruff check)
	@$(PY) -m ruff check .
	@$(call say,lint: ruff format)
	@$(PY) -m ruff format --check .
	@$(call say,lint: codespell)
	@$(PY) -m codespell_lib

format: $(STAMP) ## rewrite code in the house style
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

unit: $(STAMP) ## test the library and the structure of the book, with branch coverage
	@$(call say,tests of the library and of the book)
	@$(PY) -m pytest -n $(JOBS) -q --cov --cov-report=term-missing:skip-covered --cov-fail-under=95 \
		--ignore=tests/test_pages.py --ignore=tests/test_coursework.py --ignore=tests/test_deploy.py

coursework: $(STAMP) ## the quick part of test-coursework: every assignment, and attacks on one
	@$(call say,coursework: assignments and wrong submissions and attacks)
	@JOBS=$(JOBS) $(PY) -m pytest -q -m "not slow" tests/test_coursework.py tests/test_deploy.py

notebooks: $(STAMP) ## run every cell of every notebook and compare what is marked
	@$(call say,notebooks: nbval)
	@if [ -n "$$($(NOTEBOOKS))" ]; then \
		$(PY) -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=180 \
			-p no:cacheprovider -n $(JOBS) --dist loadscope -q chapters; \
	else echo "no notebooks yet"; fi

pages: $(STAMP) ## build the pages from nothing, with every warning an error
	@$(call say,pages: strict build)
	@$(BOOK) --path-output _build/strict --all -n -W --keep-going -q > /dev/null

test-pages: pages ## build the pages likewise and open each in Chromium, if that is installed
	@$(call say,test-pages: the built pages)
	@BUILT_PAGES=_build/strict/_build/html $(PY) -m pytest -q -n $(JOBS) --dist worksteal \
		tests/test_pages.py tests/test_explorables.py tests/test_quizzes.py

execute: $(STAMP) ## run all notebooks again; store their outputs and how long they took
	@$(call say,executing the notebooks)
	@$(NOTEBOOKS) -print0 | xargs -0 -r -n 1 -P $(JOBS) $(PY) scripts/execute.py

experiments: $(STAMP) ## record the experiments whose tables are out of date; resumes if interrupted
	@$(call say,recording experiments)
	@if [ -d experiments ]; then $(PY) -m cnnbook.recorded --workers $(JOBS) experiments; \
	else echo "no experiments yet"; fi

# One at a time, since they measure. Those of probes have peers, in an environment of their own that
# sees the packages of .venv too.
BENCHMARKS := $(addprefix benchmarks/,convolution.py sweep.py growth.py memory.py building.py weights.py)
PEERS := .stamps/peers

$(PEERS)/.installed: benchmarks/requirements.txt $(STAMP)
	@$(call say,installing the peers of the benchmarks)
	@$(PY) -m venv $(PEERS)
	@$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"), "$(CURDIR)/src", sep="\n")' \
		> $$($(PEERS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/peers.pth
	@$(PEERS)/bin/python -m pip install -q --no-deps -r benchmarks/requirements.txt
	@touch $@

bench: $(STAMP) $(PEERS)/.installed ## record the tables of the benchmarks page; forty minutes, on an idle machine
	@$(call say,recording benchmarks)
	@$(PY) -m cnnbook.recorded --fresh $(BENCHMARKS)
	@$(PEERS)/bin/python -m cnnbook.recorded --fresh benchmarks/probes.py
	@$(PY) scripts/execute.py chapters/reference/benchmarks.ipynb

# A teacher's day. ASSIGNMENT names one or more; without it, all.
GRADER := PYTHONPATH=coursework $(PY) -m grader

release: $(STAMP) ## make the versions of the coursework for students: make release ASSIGNMENT=convolution
	@$(GRADER) release $(ASSIGNMENT) $(if $(PUBLISH),--publish)

grade: $(STAMP) ## collect what was handed in, run it in sandboxes, write points and feedback
	@$(GRADER) grade $(ASSIGNMENT) --workers $(JOBS) $(if $(SCHEDULER),--scheduler $(SCHEDULER)) \
		$(if $(FORCE),--force)

# JupyterHub's proxy, for those who have Node.
.stamps/proxy/package.json: deploy/package.json
	@mkdir -p .stamps/proxy && cp $< $@
	@! command -v npm > /dev/null || npm install --prefix .stamps/proxy --no-audit --no-fund --silent

test-coursework: $(STAMP) .stamps/proxy/package.json ## all attacks on all assignments, plain nbgrader, a Dask cluster, a class on JupyterHub
	@$(call say,test-coursework)
	@JOBS=$(JOBS) $(PY) -m pytest -q tests/test_coursework.py tests/test_deploy.py

measure-coursework: $(STAMP) ## record the tables of the teacher's guide; half an hour, on an idle machine
	@PYTHONPATH=coursework $(PY) coursework/measure.py --workers $(JOBS)

repository: $(STAMP) ## name the public repository, for launch buttons: make repository URL=https://… (or none)
	@$(PY) scripts/repository.py $(if $(URL),$(URL),$(error URL must be https://host/owner/name or none)) \
		--branch $(or $(BRANCH),main)

clean: ## remove what was built, and the environment
	rm -rf _build $(VENV) .stamps .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

lock: ## make constraints.txt again from requirements.txt, in an environment of its own
	@$(call need_python)
	rm -rf .stamps/lock && mkdir -p .stamps
	$(PYTHON) -m venv .stamps/lock
	grep -v '^-c' requirements.txt > .stamps/lock/requirements.txt
	.stamps/lock/bin/python -m pip install -q -r .stamps/lock/requirements.txt
	{ sed '/^[^#]/,$$d' constraints.txt; \
		.stamps/lock/bin/python -m pip freeze --exclude-editable \
		| grep -Ev '^(nvidia-|cuda-|triton)' | sed -E 's/\+[A-Za-z0-9.]+$$//' | LC_ALL=C sort -f; \
	} > .stamps/constraints.txt
	mv .stamps/constraints.txt constraints.txt
	rm -rf .stamps/lock
	@echo "constraints.txt is new. Review it, then run make test."

# The stamp is the last step: an install that stops half-way leaves none, and the next run resumes.
$(STAMP): requirements.txt constraints.txt pyproject.toml
	@if ! $(PY) -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		$(need_python); \
		echo "== creating $(VENV) with $(PYTHON)"; \
		rm -rf $(VENV); \
		$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
			echo "Could not create $(VENV). On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	fi
	@$(call say,installing into $(VENV) (minutes the first time))
	@$(PY) -m pip install -q -r requirements.txt
	@touch $@

say = printf '\n== %s\n' '$(1)'
need_python = if [ -z "$(PYTHON)" ] || \
	! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	echo "This book needs Python 3.11 or later, and '$(or $(PYTHON),python3)' is not one." >&2; \
	echo "Install it, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; fi
