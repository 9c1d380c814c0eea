"""The tests of the book itself: what nbval leaves open.

The rules live in ``book_rules.py``. Here each is applied to every notebook, and each is shown to
pass a good notebook and to fire on a bad one.
"""

import ast
import base64
import copy
import json
import os
import re
import runpy
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import book_rules as rules

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(
    path for path in (ROOT / "chapters").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts
)
PAGES = [ROOT / "intro.md", *sorted((ROOT / "chapters").rglob("*.md"))]
MODULES = sorted((ROOT / "src" / "cnnbook").glob("*.py"))

Notebook = dict[str, Any]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def name_of_function(function: Callable) -> str:
    return function.__name__


# The notebooks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", rules.RULES, ids=name_of_function)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebook_obeys(path: Path, rule: rules.Rule) -> None:
    problems = rule(json.loads(path.read_text(encoding="utf-8")))
    assert not problems, f"{name_of(path)}:\n" + "\n".join(problems)


def test_notebooks_have_names_of_their_own() -> None:
    counts = Counter(path.stem for path in NOTEBOOKS)
    assert [name for name, count in counts.items() if count > 1] == []


def test_notebook_names_carry_no_order() -> None:
    names = [path.stem for path in NOTEBOOKS]
    assert [name for name in names if not re.fullmatch(r"[a-z]+(-[a-z]+)*", name)] == []


def test_nbval_passes_over_glued_numbers() -> None:
    collector = SimpleNamespace(skip_compare=("metadata",))
    runpy.run_path(str(ROOT / "chapters/conftest.py"))["pytest_collectstart"](collector)
    assert collector.skip_compare == ("metadata", "application/papermill.record/text/plain")


# The rules themselves ----------------------------------------------------------------------------


def markdown(source: str, **metadata: Any) -> Notebook:
    return {"cell_type": "markdown", "metadata": metadata, "source": source}


def code(source: str, *outputs: Notebook, tags: list[str] | None = None, **metadata) -> Notebook:
    if tags:
        metadata["tags"] = tags
    return {
        "cell_type": "code",
        "metadata": metadata,
        "source": source,
        "outputs": list(outputs),
        "execution_count": None,
    }


def stream(text: str, name: str = "stdout") -> Notebook:
    return {"output_type": "stream", "name": name, "text": text}


def display(**data: str) -> Notebook:
    kinds = {kind.replace("__", "/").replace("_xml", "+xml"): value for kind, value in data.items()}
    return {"output_type": "display_data", "data": kinds, "metadata": {}}


PIXEL = base64.b64encode(b"\x89PNG and nothing else").decode()
CHECK = 'check.close("the two agree", 1.0, 1.0)'
TICK = stream("✓ the two agree  [refuted by a difference above 1e-10]\n")
FIGURE = {
    "figure": {"caption": "Gradients fade with depth.", "name": "fig-fade"},
    "image": {"alt": "Line chart: the root mean square falls from the last layer to the first."},
}


def exercise(label: str) -> list[Notebook]:
    return [
        markdown(f"```{{exercise-start}} Look again\n:label: {label}\n```"),
        markdown("Do it for a stride of 2."),
        markdown("```{exercise-end}\n```"),
        markdown(f"```{{solution-start}} {label}\n:class: dropdown\n```"),
        code(CHECK, TICK, tags=["nbval-check-output"]),
        markdown("```{solution-end}\n```"),
    ]


def finished(cells: list[Notebook]) -> Notebook:
    """A notebook of ``cells`` with ids, execution counts and metadata, as a run leaves it."""
    cells = copy.deepcopy(cells)
    count = 0
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
        if cell["cell_type"] == "code":
            count += 1
            cell["execution_count"] = count
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "cells": cells,
    }


GOOD_CELLS = [
    markdown(
        "# Convolution\n\nHow large is the result? {cite:p}`dumoulin2016`\n\n"
        "- predict a size;\n- write the loops;\n- say when two layers agree."
    ),
    code("import torch\n\nfrom cnnbook import check"),
    markdown("## The size\n\nPredict: with a $3 \\times 3$ window, what is left? See He (2015)."),
    code("torch.zeros(2).shape", display(text__plain="torch.Size([2])")),
    code(CHECK, TICK, tags=["nbval-check-output"]),
    markdown("It is {glue:text}`size` pixels, at `lr=0.01` and $\\alpha = 0.01$."),
    code("plot()", display(image__png=PIXEL), mystnb=FIGURE),
    markdown("## Exercises"),
    *exercise("ex-a"),
    *exercise("ex-b"),
    *exercise("ex-c"),
    markdown("## Recap\n\n- You predicted.\n- You wrote.\n- You said."),
]
IMPORT, SIZE, SHAPE, CLAIM, PROSE, DRAW = 1, 2, 3, 4, 5, 6
FIRST_SOLUTION = 12
RECAP = len(GOOD_CELLS) - 1


def good() -> Notebook:
    return finished(GOOD_CELLS)


@pytest.mark.parametrize("rule", rules.RULES, ids=name_of_function)
def test_rule_passes_a_good_notebook(rule: rules.Rule) -> None:
    assert rule(good()) == []


def changed(position: int, **changes: Any) -> Notebook:
    notebook = good()
    notebook["cells"][position].update(changes)
    return notebook


def without(position: int, count: int = 1) -> Notebook:
    return finished(GOOD_CELLS[:position] + GOOD_CELLS[position + count :])


def with_cell(position: int, *cells: Notebook) -> Notebook:
    return finished([*GOOD_CELLS[:position], *cells, *GOOD_CELLS[position:]])


def rewritten(position: int, old: str, new: str) -> Notebook:
    source = GOOD_CELLS[position]["source"]
    assert old in source
    return changed(position, source=source.replace(old, new))


def described(figure: dict[str, str], alt: str) -> Notebook:
    return changed(DRAW, metadata={"mystnb": {"figure": figure, "image": {"alt": alt}}})


BAD_NOTEBOOKS = [
    (rules.is_valid_nbformat, good() | {"nbformat_minor": 4}, "expected 4.5"),
    (rules.is_valid_nbformat, changed(CLAIM, outputs="none"), "not a valid notebook"),
    (rules.is_valid_nbformat, changed(CLAIM, id="cell-1"), "2 cells have the id"),
    (rules.uses_the_kernel_of_the_environment, good() | {"metadata": {}}, "kernel is None"),
    (rules.executed_in_order, changed(CLAIM, execution_count=7), "execution count 7, expected 3"),
    (rules.executed_in_order, changed(CLAIM, execution_count=None), "execution count None"),
    (rules.executed_in_order, with_cell(CLAIM, code("  \n")), "code cell without code"),
    (
        rules.no_errors_or_stderr,
        changed(
            CLAIM, outputs=[{"output_type": "error", "ename": "E", "evalue": "", "traceback": []}]
        ),
        "error output E",
    ),
    (rules.no_errors_or_stderr, changed(CLAIM, outputs=[stream("!", "stderr")]), "on stderr"),
    (rules.only_allowed_tags, changed(CLAIM, metadata={"tags": ["nbval-skip"]}), "'nbval-skip'"),
    (rules.only_allowed_tags, changed(SIZE, metadata={"tags": ["slide"]}), "'slide'"),
    (rules.only_allowed_tags, changed(CLAIM, source="# NBVAL_SKIP\n1"), "NBVAL_SKIP"),
    (
        rules.only_light_outputs,
        changed(DRAW, outputs=[display(image__svg_xml="<svg/>")]),
        "image/svg+xml",
    ),
    (
        rules.only_light_outputs,
        changed(DRAW, outputs=[display(application__pdf="")]),
        "application/pdf",
    ),
    (
        rules.only_light_outputs,
        changed(DRAW, outputs=[display(text__html="<b>x</b><script src=x></script>")]),
        "text/html",
    ),
    (rules.within_size, changed(SIZE, source="x" * 1_500_001), "notebook of"),
    (
        rules.within_size,
        changed(DRAW, outputs=[display(image__png=base64.b64encode(bytes(300_001)).decode())]),
        "image of 300,001 bytes",
    ),
    (rules.every_section_checks, without(CLAIM), "'The size' checks nothing"),
    (
        rules.every_section_checks,
        with_cell(RECAP, markdown("## More"), code("check.interval([1, 2])")),
        "'More' checks nothing",
    ),
    (
        rules.every_section_checks,
        with_cell(RECAP, markdown("## More"), code("# check.close(1, 1)\n1")),
        "'More' checks nothing",
    ),
    (rules.every_section_checks, with_cell(RECAP, markdown("## The size")), "two sections"),
    (rules.every_section_checks, rewritten(SIZE, "## The size", ""), "no ## section"),
    (rules.ticks_are_compared, changed(CLAIM, metadata={}), "without the tag nbval-check-output"),
    (rules.ticks_are_compared, changed(CLAIM, outputs=[]), "prints no ✓"),
    (rules.code_is_short, changed(CLAIM, source="1\n" * 16), "16 lines of code, at most 15"),
    (rules.code_is_short, changed(FIRST_SOLUTION, source="1\n" * 21), "21 lines of code, at most"),
    (rules.figures_are_described, changed(DRAW, metadata={}), "without mystnb.figure.caption"),
    (rules.figures_are_described, changed(DRAW, metadata={}), "without mystnb.figure.name"),
    (rules.figures_are_described, described(FIGURE["figure"], "A chart"), "alt has 7 characters"),
    (
        rules.figures_are_described,
        described({"caption": "The same words. " * 4, "name": "n"}, "The same words. " * 4),
        "repeats the caption",
    ),
    (rules.figures_are_described, with_cell(RECAP, GOOD_CELLS[DRAW]), "two figures are named"),
    (
        rules.figures_are_described,
        changed(DRAW, outputs=[display(image__png=PIXEL)] * 2),
        "2 images, one caption",
    ),
    (rules.exercises_have_solutions, without(FIRST_SOLUTION - 1, 3), "'ex-a' has no solution"),
    (rules.exercises_have_solutions, without(FIRST_SOLUTION - 4, 3), "'ex-a' has no exercise"),
    (rules.exercises_have_solutions, without(FIRST_SOLUTION - 4, 6), "2 exercises, expected 3"),
    (
        rules.exercises_have_solutions,
        with_cell(RECAP, *[cell for x in "defg" for cell in exercise(f"ex-{x}")]),
        "7 exercises",
    ),
    (
        rules.exercises_have_solutions,
        rewritten(FIRST_SOLUTION - 1, ":class: dropdown\n", ""),
        "not folded",
    ),
    (rules.exercises_have_solutions, without(FIRST_SOLUTION + 1), "3 solution-start, 2"),
    (
        rules.exercises_have_solutions,
        rewritten(FIRST_SOLUTION - 4, ":label: ex-a\n", ""),
        "exercise without a label",
    ),
    (rules.opens_with_question_and_objectives, rewritten(0, "?", "."), "no question"),
    (rules.opens_with_question_and_objectives, rewritten(0, "# C", "## C"), "0 titles"),
    (rules.opens_with_question_and_objectives, rewritten(0, "- write", "write"), "2 objectives"),
    (rules.opens_with_question_and_objectives, rewritten(0, "# C", "Hm.\n\n## C"), "first cell"),
    (rules.recap_mirrors_objectives, without(RECAP), "not called Recap"),
    (rules.recap_mirrors_objectives, rewritten(RECAP, "- You said.", ""), "2 items for 3"),
    (rules.one_import_cell, without(IMPORT), "imports nothing"),
    (rules.one_import_cell, changed(CLAIM, source="import math"), "belong to the first"),
    (rules.one_import_cell, changed(CLAIM, source="x ="), "not Python"),
    (rules.no_typed_numbers, rewritten(PROSE, "{glue:text}`size`", "0.93"), "decimal"),
    (
        rules.no_typed_numbers,
        described({"caption": "Half of 0.93 is lost.", "name": "n"}, FIGURE["image"]["alt"]),
        "decimal",
    ),
    (
        rules.no_typed_numbers,
        described(FIGURE["figure"], "Bar chart in which 40 % of the bars are shorter."),
        "percentage",
    ),
]


@pytest.mark.parametrize(
    ("rule", "notebook", "expected"),
    BAD_NOTEBOOKS,
    ids=[f"{rule.__name__}-{expected}" for rule, _, expected in BAD_NOTEBOOKS],
)
def test_rule_fires(rule: rules.Rule, notebook: Notebook, expected: str) -> None:
    problems = rule(notebook)
    assert any(expected in problem for problem in problems), problems


def test_every_rule_is_shown_to_fire() -> None:
    assert {rule for rule, *_ in BAD_NOTEBOOKS} == set(rules.RULES)


def test_an_error_may_be_the_lesson() -> None:
    output = {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}
    notebook = changed(CLAIM, outputs=[output], metadata={"tags": ["raises-exception"]})
    assert rules.no_errors_or_stderr(notebook) == []


def test_a_solution_may_be_longer() -> None:
    assert rules.code_is_short(changed(FIRST_SOLUTION, source="1\n" * 20)) == []


def test_claims_are_known_by_their_first_argument() -> None:
    assert {"close", "between", "ordered"} <= rules.CLAIMS
    assert "interval" not in rules.CLAIMS


def test_magics_are_no_syntax_errors() -> None:
    assert rules.one_import_cell(changed(CLAIM, source="%time\n!ls\n1")) == []


@pytest.mark.parametrize(
    "text",
    [
        "The loss is 0.93 at the end.",
        "The loss is .93 at the end.",
        "A loss of −2.5.",
        "It lost 40% of its units.",
        "It lost 40 % of its units.",
        "It lost 40 percent of its units.",
        "It has 62,720 weights.",
        "It has 1024 weights.",
        "In 2015 of the runs.",
        "All 512 runs agree.",
        "A slope of 1e-3 a layer.",
        "A gradient of 10⁻⁷.",
        "It is 3 times as fast.",
        "It is three times faster.",
        "A tenfold gain, and a 10-fold one.",
        "It runs 3× faster.",
        "About $0.93$ of them.",
        "About $\\approx 0.93$ of them.",
        "The rate is $p \\approx 0.93$.",
        "About $40\\%$ of them.",
        "Some $$ 2.5 \\times 10^{-3} $$ of it.",
        "# A heading with 0.5",
        "| a table | with 0.5 |",
        "```{note}\nThe loss is 0.93.\n```",
        ":::{admonition} Half of 0.93\n:class: tip\nText.\n:::",
        "````{note}\n```python\nx = 1\n```\nThe loss is 0.93.\n````",
        "[0.93 of them](chapters/x.md)",
    ],
)
def test_typed_numbers_are_found(text: str) -> None:
    assert rules.typed_numbers(text)


@pytest.mark.parametrize(
    "text",
    [
        "Two layers of 16 channels, 3 × 3 windows, a 3×3 kernel, 28×28 pixels.",
        "Shown by He et al. (2015) and (Glorot and Bengio, 2010).",
        "See {cite:p}`he2015` and {numref}`fig-100`.",
        "With `lr=0.01` and ``x = 1e-3``.",
        "With $\\alpha = 0.01$, $n = 256$, $256$ units and $\\sigma_w^2 = 1.05$.",
        "Apply it 3 times.",
        "The loss is {glue:text}`loss`, or {glue:text}`loss:.2f`.",
        "[the page](https://example.org/1502.01852/0.93) and https://example.org/1234",
        "arXiv:1502.01852",
        "```python\nx = 0.93\n```",
        "~~~\nx = 0.93\n~~~",
        "```{math}\n:label: eq-1\nx = 0.93\n```",
        "```{figure} a/b-0.5.png\n:width: 300\n:name: fig-1\nA caption.\n```",
        "```{code-cell}\nx = 1024\n```",
        "<!-- 0.93 -->",
        '<img width="300">',
        "(sec-1.2)=",
        "1. first\n2. second",
        "- 3 to 6 exercises; section 2.",
        "A dollar costs \\$5 and \\$6.",
    ],
)
def test_what_is_no_typed_number_passes(text: str) -> None:
    assert rules.typed_numbers(text) == []


def test_rules_can_be_asked_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    notebook, page = tmp_path / "a.ipynb", tmp_path / "a.md"
    notebook.write_text(json.dumps(without(CLAIM)), encoding="utf-8")
    page.write_text("0.93", encoding="utf-8")
    assert rules.main([str(notebook), str(page)]) == 2
    printed = capsys.readouterr().out
    assert "[every_section_checks] section 'The size' checks nothing" in printed
    assert "2 problems" in printed


# The pages and the order of the book -------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_page_types_no_numbers(path: Path) -> None:
    assert rules.typed_numbers(path.read_text(encoding="utf-8")) == []


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def entries_of(toc: Any) -> list[str]:
    """Every file that a table of contents names, at any depth."""
    if isinstance(toc, list):
        return [name for item in toc for name in entries_of(item)]
    if isinstance(toc, dict):
        own = [toc[key] for key in ("root", "file") if key in toc]
        return own + [name for key, value in toc.items() for name in entries_of(value)]
    return []


def test_every_notebook_and_page_is_in_the_toc_once() -> None:
    entries = entries_of(read_yaml("_toc.yml"))
    assert len(entries) == len(set(entries))
    committed = {name_of(path.with_suffix("")) for path in [*NOTEBOOKS, *PAGES]}
    assert committed - set(entries) == set()


def test_every_toc_entry_exists() -> None:
    missing = [
        name
        for name in entries_of(read_yaml("_toc.yml"))
        if not any((ROOT / f"{name}{suffix}").is_file() for suffix in (".md", ".ipynb"))
    ]
    assert missing == []


def test_toc_entries_are_found_at_any_depth() -> None:
    toc = {"root": "a", "parts": [{"chapters": [{"file": "b", "sections": [{"file": "c"}]}]}]}
    assert entries_of(toc) == ["a", "b", "c"]


# The house ---------------------------------------------------------------------------------------


def test_stored_outputs_are_what_is_published() -> None:
    assert read_yaml("_config.yml")["execute"]["execute_notebooks"] == "off"


def test_the_config_names_nothing_on_the_network() -> None:
    config = read_yaml("_config.yml")["sphinx"]["config"]
    assert config["nb_ipywidgets_js"] == {}
    assert "://" not in json.dumps(config)
    folder = ROOT / config["html_extra_path"][0] / "_static"
    assert (folder / config["mathjax_path"]).is_file()
    for part in config["mathjax3_config"]["loader"]["load"]:
        assert (folder / "mathjax" / f"{part}.js").is_file()


def lines_of(name: str) -> list[str]:
    return (ROOT / name).read_text(encoding="utf-8").splitlines()


PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[0-9][A-Za-z0-9.]*)")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins_of(lines: list[str]) -> dict[str, str]:
    """Exact versions by name; raises on a line that is no exact version."""
    pins = {}
    for line in lines:
        match = PIN.fullmatch(line.split("#")[0].strip())
        assert match, f"not an exact version: {line!r}"
        name = canonical(match["name"])
        assert name not in pins, f"{name} stands twice"
        pins[name] = match["version"]
    return pins


def requirements() -> list[str]:
    """The lines of requirements.txt that are no comments, with the comments at their ends."""
    return [line for line in lines_of("requirements.txt") if re.match(r"\s*[^#\s]", line)]


def constraints() -> dict[str, str]:
    return pins_of([line for line in lines_of("constraints.txt") if not line.startswith("#")])


def test_requirements_start_with_the_constraints_and_end_with_the_library() -> None:
    assert requirements()[0] == "-c constraints.txt"
    assert requirements()[-1] == "-e ."


def test_every_requirement_is_exact_and_says_why() -> None:
    lines = requirements()[1:-1]
    assert [line for line in lines if not re.search(r"\s# \w.{5,}", line)] == []
    pins = pins_of(lines)
    assert {name: constraints().get(name) for name in pins} == pins


def test_constraints_are_exact_and_hold_no_local_version() -> None:
    assert constraints()["torch"] == "2.13.0"


@pytest.mark.parametrize("line", ["torch>=2", "torch", "torch==2.*", "torch==2.13.0+cpu"])
def test_inexact_versions_are_refused(line: str) -> None:
    with pytest.raises(AssertionError, match="not an exact version"):
        pins_of([line])


def documented_targets() -> dict[str, str]:
    pattern = re.compile(r"^([a-z][a-z-]*):[^#\n]*## (.+)$", re.MULTILINE)
    return dict(pattern.findall((ROOT / "Makefile").read_text(encoding="utf-8")))


def test_the_makefile_documents_its_targets() -> None:
    wanted = {"help", "book", "test", "lab", "lint", "execute", "clean", "lock"}
    assert wanted - set(documented_targets()) == set()
    phony = next(line for line in lines_of("Makefile") if line.startswith(".PHONY:"))
    assert set(phony.split()[1:]) == set(documented_targets())


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_lists_every_target() -> None:
    shown = subprocess.run(
        ["make", "-s", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for target, text in documented_targets().items():
        assert re.search(rf"^  make {target}\s+{re.escape(text)}$", shown, re.MULTILINE), target


def test_continuous_integration_runs_the_test_command_only() -> None:
    commands = [line for line in lines_of(".ci/run") if line and not line.startswith(("#", "set "))]
    assert commands[0] == 'cd "$(dirname "$0")/.."' and commands[-1] == "exec make test"
    assert commands[1].startswith("if ! command -v bwrap") and commands[-2] == "fi"
    assert len(commands) == 5


def test_the_readme_opens_with_the_two_commands() -> None:
    opening = "\n".join(lines_of("README.md")[:8])
    assert "make book" in opening
    assert "make test" in opening


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_make_test_runs_again_only_after_a_change(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.txt", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for folder in (".venv", "chapters"):
        (tmp_path / folder).mkdir()
    (tmp_path / ".venv" / ".installed").touch()

    # This test may itself run under make, whose variables would travel on.
    around = {k: v for k, v in os.environ.items() if not re.match("MAKE|MFLAGS|FORCE", k)}

    def stages(python: str = "true", *more: str) -> tuple[int, int]:
        command = ["make", "-s", "test", f"PY={python}", "BOOK=true", *more]
        ran = subprocess.run(
            command, cwd=tmp_path, env=around, capture_output=True, text=True, check=False
        )
        return ran.returncode, ran.stdout.count("== ")

    first, second = stages(), stages()
    assert first[0] == second[0] == 0
    assert first[1] > second[1] == 1
    assert stages("true", "FORCE=1") == first
    (tmp_path / "chapters" / "new.md").touch()
    assert stages("false")[0] != 0
    assert stages() == first
    assert stages() == second


# The floors of the library -----------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_imports_only_from_floors_below(path: Path) -> None:
    assert rules.import_problems(path.stem, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("ops", "from cnnbook import grads", "ops (floor 1) imports grads (floor 2)"),
        ("ops", "from cnnbook.data import x", "ops (floor 1) imports data (floor 1)"),
        ("ops", "import cnnbook.plots as p", "ops (floor 1) imports plots (floor 5)"),
        ("ops", "from . import plots", "ops (floor 1) imports plots (floor 5)"),
        ("ops", "from .plots import x", "ops (floor 1) imports plots (floor 5)"),
        ("ops", "def f():\n    from cnnbook import plots", "imports plots"),
        ("_helper", "from cnnbook import ops", "_helper (floor -1) imports ops (floor 1)"),
        ("_helper", "from cnnbook import _other", "_helper (floor -1) imports _other (floor -1)"),
        ("_files", "from cnnbook import _arguments", "_arguments (floor -2)"),
        ("plots", "from cnnbook import wonders", "wonders, which has no floor"),
        ("wonders", "", "wonders has no floor"),
        ("data", "import papermill", "a way to run notebooks"),
        ("data", "from nbclient import execute", "a way to run notebooks"),
        ("__init__", "import chapters.convolution", "a way to run notebooks"),
        ("data", "x = 'chapters/a.ipynb'", "reaches for a notebook"),
    ],
)
def test_wrong_imports_are_found(module: str, source: str, expected: str) -> None:
    problems = rules.import_problems(module, source)
    assert any(expected in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("plots", "from cnnbook import clinic, probes\nimport matplotlib"),
        ("data", "from cnnbook import _torchvision\nfrom cnnbook._arguments import x"),
        ("_helper", "from cnnbook._arguments import x\nfrom cnnbook._files import y"),
        ("__init__", "from cnnbook import ops, plots"),
    ],
)
def test_right_imports_pass(module: str, source: str) -> None:
    assert rules.import_problems(module, source) == []


def test_every_module_parses_and_says_what_it_is() -> None:
    undocumented = [
        path.name
        for path in MODULES
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert undocumented == []
