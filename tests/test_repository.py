"""A public repository: the launch buttons' settings, the hidden cell for Colab, Binder's image."""

import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from html import unescape
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

import book_rules as rules
from test_book import NOTEBOOKS, ROOT

SCRIPT = runpy.run_path(str(ROOT / "scripts/repository.py"))
CONFIG = (ROOT / "_config.yml").read_text(encoding="utf-8")
URL = "https://github.com/owner/name"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the settings and the notebooks."""
    (tmp_path / "_config.yml").write_text(CONFIG, encoding="utf-8")
    ignored = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__")
    shutil.copytree(ROOT / "chapters", tmp_path / "chapters", ignore=ignored)
    return tmp_path


def test_notebooks_have_the_cell_if_and_only_if_a_repository_is_named():
    named = bool(yaml.safe_load(CONFIG)["repository"]["url"])
    for path in NOTEBOOKS:
        ids = [cell.id for cell in nbformat.read(path, as_version=4).cells]
        assert (SCRIPT["CELL_ID"] in ids) == named, f"{path.name}: make repository URL=…"


def test_naming_a_repository_keeps_every_rule(copy):
    assert SCRIPT["name_repository"](copy, URL, "main") == len(NOTEBOOKS)
    settings = yaml.safe_load((copy / "_config.yml").read_text(encoding="utf-8"))
    assert settings["repository"] == {"url": URL, "branch": "main"}
    for path in copy.rglob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        assert [problem for rule in rules.RULES for problem in rule(notebook)] == []
        cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
        assert cell.id == SCRIPT["CELL_ID"] and "remove-cell" in cell.metadata.tags
        assert path.parent.relative_to(copy).as_posix() in cell.source


def test_naming_twice_and_taking_away_leaves_what_was(copy):
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    for url in (URL, "https://gitlab.com/other/book", ""):
        SCRIPT["name_repository"](copy, url, "main")
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("url", ["", "github.com/o/n", "https://github.com/o", "https://a/b/c d"])
def test_an_address_that_is_none_is_refused(url, capsys):
    with pytest.raises(SystemExit):
        SCRIPT["main"]([url])
    assert re.search(r"url must be https://host/owner/name or none, got '", capsys.readouterr().err)


def test_settings_without_a_place_for_it_are_left_alone(copy):
    (copy / "_config.yml").write_text("title: x\n")
    with pytest.raises(ValueError, match="must have one repository"):
        SCRIPT["name_repository"](copy, URL, "main")
    assert (copy / "_config.yml").read_text() == "title: x\n"


def test_a_notebook_opened_on_colab_runs_from_first_to_last(tmp_path):
    """Colab's module is faked, the library hidden; the repository is one of this tree."""
    name, source = "chapters/remedies/dropout.ipynb", tmp_path / "source"
    source.mkdir()
    for folder in ("src", "experiments", "chapters/remedies"):
        ignored = shutil.ignore_patterns("__pycache__", ".runs", ".ipynb_checkpoints")
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    git = ["git", "-C", str(source), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for step in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *step], check=True)
    notebook = nbformat.read(ROOT / name, as_version=4)
    SCRIPT["with_cell"](notebook, "chapters/remedies", source.as_uri(), "main")
    hidden = next(cell for cell in notebook.cells if cell.id == SCRIPT["CELL_ID"])
    hidden.source = hidden.source.replace("/content", str(tmp_path / "content"))
    stage = (
        "import sys, types\n"
        "sys.modules['google.colab'] = types.ModuleType('google.colab')\n"
        f"sys.path[:] = [p for p in sys.path if p != {str(ROOT / 'src')!r}]\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f)]\n"
        "import importlib.util\n"
        "assert importlib.util.find_spec('cnnbook') is None, 'the library is not hidden'"
    )
    last = "import cnnbook, os\nprint(cnnbook.__file__, os.getcwd())"
    cells = [*notebook.cells, nbformat.v4.new_code_cell(last)]
    notebook.cells = [nbformat.v4.new_code_cell(stage), *cells]
    alone = tmp_path / "alone"
    alone.mkdir()
    NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(alone)}}).execute()
    book = tmp_path / "content" / "book"
    said = "".join(output.text for output in notebook.cells[-1].outputs)
    assert said.split() == [str(book / "src/cnnbook/__init__.py"), str(book / "chapters/remedies")]
    assert sys.modules.get("google.colab") is None


SMALL = """
format: jb-book
root: references
parts:
  - caption: A part
    chapters:
      - file: chapters/pooling/index
        sections:
          - file: chapters/pooling/shift
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of a small book that has a repository, a JupyterHub and an address."""
    root = tmp_path_factory.mktemp("book")
    for folder in ("extensions", "_static", "_templates", "_vendor", "chapters/pooling"):
        ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    for file in ("references.md", "references.bib", "_config.yml"):
        shutil.copy(ROOT / file, root / file)
    (root / "_toc.yml").write_text(SMALL)
    SCRIPT["name_repository"](root, URL, "main")
    config = root / "_config.yml"
    hub = config.read_text().replace(
        'jupyterhub_url: ""', "jupyterhub_url: https://hub.example.org"
    )
    config.write_text(hub)
    build = [str(Path(sys.executable).parent / "jupyter-book"), "build", str(root), "-q"]
    address = {"BOOK_URL": "https://book.example.org/cnn"}
    subprocess.run(build, check=True, capture_output=True, env=os.environ | address)
    return root / "_build/html"


def test_launch_buttons_open_the_notebook_of_the_page(site):
    html = (site / "chapters/pooling/shift.html").read_text(encoding="utf-8")
    links = [unescape(link) for link in re.findall(r'href="([^"]+)"', html)]
    path = "chapters/pooling/shift.ipynb"
    assert f"https://mybinder.org/v2/gh/owner/name/main?urlpath=lab/tree/{path}" in links
    assert f"https://colab.research.google.com/github/owner/name/blob/main/{path}" in links
    pull = f"repo=https%3A//github.com/owner/name&urlpath=lab/tree/name/{path}&branch=main"
    (hub,) = [link for link in links if link.startswith("https://hub.example.org")]
    assert hub.endswith(f"/hub/user-redirect/git-pull?{pull}")
    assert "google.colab" not in html, "the hidden cell shows"


def test_a_site_with_an_address_has_a_sitemap_and_previews(site):
    base = "https://book.example.org/cnn/"
    listed = re.findall(r"<loc>(.*?)</loc>", (site / "sitemap.xml").read_text(encoding="utf-8"))
    pages = ["references", "chapters/pooling/index", "chapters/pooling/shift"]
    assert {f"{base}{page}.html" for page in pages} == {*listed} - {f"{base}index.html"}
    html = (site / "chapters/pooling/shift.html").read_text(encoding="utf-8")
    told = dict(re.findall(r'<meta property="og:([\w:]+)" content="([^"]*)"', html))
    assert told["title"] == "Does pooling make a network blind to shifts?"
    assert told["url"] == f"{base}chapters/pooling/shift.html"
    assert told["description"].startswith("Pooling is said to")
    assert (site / told["image"].removeprefix(base)).is_file()


def test_binder_gets_what_the_library_asks_for_on_cpus():
    image = yaml.safe_load((ROOT / "binder/environment.yml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    called = {"torch": "pytorch-cpu", "matplotlib": "matplotlib-base"}

    def renamed(requirement: str) -> str:
        package, bound = requirement.split(">=")
        return f"{called.get(package, package)}>={bound}"

    asked = set(image["dependencies"])
    assert {renamed(one) for one in project["dependencies"]} <= asked
    assert not [one for one in asked if re.match(r"pytorch\b(?!-cpu)", one)]
    assert "python=3.11" in asked and {"ipykernel", "jupyterlab"} <= asked
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    (version,) = [one.partition("=")[2] for one in asked if one.startswith("myst-nb=")]
    assert f"myst-nb=={version}." in pinned
    assert "--no-deps --editable ." in (ROOT / "binder/postBuild").read_text(encoding="utf-8")
