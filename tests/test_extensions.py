"""What Sphinx learns for this book: dark figures, links from code, times, the map, the site."""

import io
import json
import pickle
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib.image
import nbformat
import numpy as np
import pytest
from docutils import nodes
from matplotlib.colors import to_rgb
from sphinx import addnodes

from cnnbook.plots import COLORS
from test_book import NOTEBOOKS, ROOT, name_of

sys.path.insert(0, str(ROOT / "extensions"))

import code_links
import coursework_tables
import figures
import guide
import publishing
import terms

# Figures for dark pages --------------------------------------------------------------------------


def luminance(color: np.ndarray) -> float:
    """Relative luminance of an sRGB colour, as WCAG 2 defines it."""
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def on_dark(color: str) -> np.ndarray:
    return figures.darken(np.array([to_rgb(color)]))[0]


def test_white_becomes_the_ground():
    assert on_dark("#ffffff") == pytest.approx(to_rgb(figures.GROUND), abs=1e-3)


@pytest.mark.parametrize(
    ("color", "partner"), [*zip(COLORS, figures.PARTNERS, strict=True)], ids=COLORS
)
def test_a_colour_of_the_book_becomes_its_partner(color, partner):
    assert on_dark(color) == pytest.approx(to_rgb(partner), abs=0.01)
    dark = luminance(on_dark(color)) + 0.05, luminance(np.array(to_rgb(figures.GROUND))) + 0.05
    assert dark[0] / dark[1] > 4.5  # more than WCAG 2 asks of what is drawn, and as much as of text


def test_tints_lie_between_the_ground_and_their_colour():
    color, ground = to_rgb(COLORS[0]), figures.to_lab(np.array(to_rgb(figures.GROUND)))
    tints = np.array([[1 - a * (1 - part) for part in color] for a in (0.0, 0.2, 0.5, 1.0)])
    far = np.linalg.norm(figures.to_lab(figures.darken(tints)) - ground, axis=1)
    assert np.all(np.diff(far) > 0)


def test_oklab_goes_there_and_back():
    colors = np.random.default_rng(0).random((50, 3))
    assert figures.to_srgb(figures.to_lab(colors)) == pytest.approx(colors, abs=1e-6)
    # Ottosson (2020), table of examples: red.
    assert figures.to_lab(np.array([1.0, 0, 0])) == pytest.approx([0.628, 0.225, 0.126], abs=1e-3)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, pixels, format="png")
    return buffer.getvalue()


def test_pictures_keep_their_colours_and_the_rest_does_not():
    pixels = np.full((10, 20, 4), 255, dtype=np.uint8)
    pixels[2:4, 2:4, :3] = 0
    pixels[:, 10:] = 0  # transparent black counts as white
    made = figures.twin(png(pixels), [[0.0, 0.0, 0.25, 1.0]])
    dark = matplotlib.image.imread(io.BytesIO(made))[..., :3]
    ground = pytest.approx(to_rgb(figures.GROUND), abs=0.01)
    assert dark[2, 2] == pytest.approx([0, 0, 0]) and dark[8, 0] == pytest.approx([1, 1, 1])
    assert dark[2, 8] == ground and dark[2, 15] == ground


def test_a_twin_is_made_again_when_its_figure_or_its_pictures_change(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "twin", lambda png, pictures: made.append(pictures) or b"dark")
    made, app = [], SimpleNamespace(srcdir=tmp_path)
    image = png(np.zeros((2, 2, 4), dtype=np.uint8))
    for found in [(image, []), (image, []), (image, [[0, 0, 1, 1]]), (image + b"more", [])]:
        light, dark = figures.pair(app, "/one.png", found)
        assert light["uri"] == "/one.png" and (tmp_path / dark["uri"][1:]).read_bytes() == b"dark"
    assert made == [[], [[0, 0, 1, 1]], []]
    assert len([*tmp_path.iterdir()]) == 3


def noted(path: Path) -> list[bool]:
    """For each image of a notebook, whether it is known where its pictures are."""
    return [
        "pictures" in output["metadata"].get("image/png", {})
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_every_figure_says_where_its_pictures_are(path):
    assert all(noted(path)), "made without plots.use_style, or before it said so: make execute"


# Links from code ---------------------------------------------------------------------------------


def app_with(*names: str) -> SimpleNamespace:
    """An application whose library documents ``names``, in one page."""
    found = {f"cnnbook.{name}": SimpleNamespace(docname="api", node_id=name) for name in names}
    return SimpleNamespace(
        env=SimpleNamespace(domaindata={"py": {"objects": found}}),
        builder=SimpleNamespace(get_relative_uri=lambda page, other: f"{other}.html"),
    )


def linked(code: str, html: str, *names: str) -> str:
    tree = nodes.document("", "")
    tree += nodes.literal_block(code, code)
    context = {"body": html}
    code_links.link_code(app_with(*names), "page", "", context, tree)
    return context["body"]


OPS = '<span class="n">ops</span><span class="o">.</span><span class="n">conv2d</span>'


def test_an_imported_name_leads_to_its_documentation():
    body = linked("from cnnbook import ops", OPS, "ops.conv2d")
    assert body == f'<a class="code-link" href="api.html#ops.conv2d">{OPS}</a>'
    name = '<span class="n">gain</span>'
    body = linked("from cnnbook.init import he as gain", f"{name}()", "init.he")
    assert body == f'<a class="code-link" href="api.html#init.he">{name}</a>()'


@pytest.mark.parametrize(
    "code",
    [
        "import numpy as ops",
        "from cnnbook import data",
        "from cnnbook import ops as other",
        "if ops",
    ],
)
def test_a_name_that_is_not_imported_leads_nowhere(code):
    assert linked(code, OPS, "ops.conv2d") == OPS


def test_a_name_that_is_not_documented_leads_nowhere():
    assert linked("from cnnbook import ops", OPS, "ops.pad") == OPS
    behind = f'<span class="n">net</span><span class="o">.</span>{OPS}'
    assert linked("from cnnbook import ops", behind, "ops.conv2d") == behind


def test_names_in_the_text_are_linked_once():
    tree = nodes.document("", "")
    for text in ("ops.conv2d()", "cnnbook.ops.conv2d", "ops", "x.shape"):
        tree += nodes.paragraph("", "", nodes.literal(text, text))
    code_links.link_text(app_with("ops", "ops.conv2d"), tree, "page")
    links = [link["refuri"] for link in tree.findall(nodes.reference)]
    assert links == ["api.html#ops.conv2d"] * 2


# Times and the map -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_every_notebook_knows_how_long_it_ran(path):
    seconds = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("seconds")
    assert isinstance(seconds, float) and seconds > 0, "executed by other means than make execute"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (59, "59 s"),
        (61, "1 min"),
        (5520, "1 h 30 min"),
        (3540, "59 min"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
    ],
)
def test_times_are_said_in_the_unit_that_suits(seconds, words):
    assert guide.spoken(seconds) == words


def test_reading_takes_time_and_work_does_not_count():
    text = nodes.paragraph("", "word " * guide.WORDS)
    code = nodes.literal_block("", "a\nb\nc")
    quiz = nodes.container("", nodes.paragraph("", "word " * 99), classes=["quiz"])
    image = nodes.image(classes=["on-light"]), nodes.image(classes=["on-dark"])
    page = nodes.section("", text, code, nodes.math_block("", "x"), quiz, *image)
    assert guide.reading(page) == pytest.approx(60 + 3 * guide.LINE + guide.FORMULA + guide.FIGURE)


def front_matter(chapter: str) -> list[str]:
    text = (ROOT / f"{chapter}.md").read_text(encoding="utf-8")
    found = re.match(r"---\nneeds: \[(.*)\]\n---\n", text)
    return found[1].split(", ") if found else []


def test_a_chapter_builds_on_chapters_before_it_that_it_speaks_of():
    before = []
    for _, index, sections in guide.chapters(ROOT):
        text = "".join((ROOT / f"{section}.ipynb").read_text("utf-8") for section in sections)
        needs = front_matter(index)
        assert set(needs) <= set(before), f"{index} builds on what comes later"
        assert [need for need in needs if f"../{need}/" not in text] == [], index
        before.append(Path(index).parent.name)
    assert len(before) > 10 and front_matter("chapters/remedies/index")


def test_arcs_join_the_rows_they_should():
    drawing = guide.arcs([(0, 2)], 3)
    start, end = guide.ROW * 0.5, guide.ROW * 2.5
    assert re.search(rf'd="M46 {start} C[\d.]+ {start} [\d.]+ {end} 46 {end}"', drawing)
    assert drawing.count('class="dot"') == 3


# One page to print -------------------------------------------------------------------------------

PAGE = """<html><article class="bd-article"><h1 id="a">A<a class="headerlink" href="#a">#</a></h1>
<img loading="lazy" class="on-light" src="../_images/x.png" /><img class="on-dark" src="d.png" />
<a href="b.html#c">b</a> <a href="../intro.html">i</a> <a href="#a">a</a>
<a href="https://example.org/b.html">far</a> <a href="api.html#z">api</a></article></html>"""


def test_the_print_form_keeps_links_and_leaves_out_what_paper_cannot_show():
    article = publishing.for_print("one/a", PAGE, {"one/a", "one/b", "intro"})
    assert re.findall(r'\bid="([^"]*)"', article) == ["one-a", "one-a--a"]
    assert re.findall(r'\bhref="([^"]*)"', article) == [
        "#one-b--c",
        "#intro",
        "#one-a--a",
        "https://example.org/b.html",
        "one/api.html#z",
    ]
    assert re.findall(r'\bsrc="([^"]*)"', article) == ["_images/x.png"]
    assert "lazy" not in article and "headerlink" not in article


# Where the pages and their source stand ----------------------------------------------------------


def settings(**given: object) -> SimpleNamespace:
    return SimpleNamespace(
        **{
            "html_baseurl": "",
            "project": "The book",
            "html_theme_options": {"launch_buttons": {"colab_url": "https://c"}},
            "ogp_site_url": "",
        }
        | given
    )


def test_without_an_address_nothing_leads_out(monkeypatch):
    monkeypatch.delenv("BOOK_URL", raising=False)
    config = settings()
    publishing.read_settings(None, config)
    assert config.ogp_site_url == "" and "launch_buttons" not in config.html_theme_options


def test_an_address_reaches_sitemap_and_previews(monkeypatch):
    monkeypatch.setenv("BOOK_URL", "https://example.org/book")
    config = settings(
        html_theme_options={"repository_url": "https://r", "launch_buttons": {"x": 1}}
    )
    publishing.read_settings(None, config)
    assert config.html_baseurl == config.ogp_site_url == "https://example.org/book/"
    assert config.ogp_image == "https://example.org/book/_static/preview.png"
    assert config.html_theme_options["launch_buttons"] == {"x": 1}
    monkeypatch.setenv("BOOK_URL", "example.org")
    with pytest.raises(ValueError, match=r"BOOK_URL must be .*, got 'example\.org'"):
        publishing.read_settings(None, settings())


def test_the_preview_has_the_size_that_sites_ask_for(tmp_path):
    (tmp_path / "_images").mkdir()
    (tmp_path / "_static").mkdir()
    (tmp_path / "_images" / "x.png").write_bytes(png(np.zeros((30, 40, 3), dtype=np.uint8)))
    (tmp_path / "intro.html").write_text('<img src="_images/x.png" />')
    config = SimpleNamespace(root_doc="intro", project="A Book")
    publishing.draw_card(SimpleNamespace(outdir=tmp_path, config=config))
    card = matplotlib.image.imread(tmp_path / publishing.CARD)
    assert card.shape[:2] == (630, 1200) and card[..., :3].min() < 0.1


# Terms -------------------------------------------------------------------------------------------


def test_no_part_of_a_page_belongs_to_another_document():
    tree, other = nodes.document("", ""), nodes.document("", "")
    other.settings = bytes(10**6)
    tree += nodes.paragraph("", "", nodes.Text("words"))
    for node in tree[0].findall():
        node.document = other
    assert len(pickle.dumps(tree)) > 10**6
    publishing.let_go(SimpleNamespace(), tree)
    assert len(pickle.dumps(tree)) < 10**4


def test_a_term_is_noted_with_the_last_link_of_its_definition():
    def link(target: str) -> addnodes.pending_xref:
        return addnodes.pending_xref("", reftype="myst", refdomain="doc", reftarget=target)

    entry = ("single", "blur", "term-blur", "main", None)
    term = nodes.term("", "blur", addnodes.index(entries=[entry]))
    said = nodes.definition("", nodes.paragraph("", "", link("one"), link("two")))
    tree = nodes.document("", "")
    tree += nodes.definition_list("", nodes.definition_list_item("", term, said))
    app = SimpleNamespace(env=SimpleNamespace(docname=terms.GLOSSARY))
    terms.note_terms(app, tree)
    assert app.env.terms == [("blur", "term-blur", "two")]


def test_terms_rank_the_page_that_their_definition_names():
    env = SimpleNamespace(
        all_docs={"chapters/pooling/shift", "chapters/reference/notation"},
        domaindata={"std": {"anonlabels": {"fig-x": ("chapters/pooling/shift", "fig-x")}}},
        terms=[
            ("aliasing", "term-aliasing", "chapters/pooling/shift"),
            ("blur", "term-blur", "fig-x"),
            ("x", "term-x", "notation"),
            ("lost", "term-lost", "nowhere"),
        ],
    )
    app = SimpleNamespace(env=env, builder=SimpleNamespace(indexer=SimpleNamespace()))
    assert terms.rank_terms(app) == []
    entries = app.builder.indexer._index_entries
    assert entries["chapters/pooling/shift"] == [
        ("aliasing", "", "main"),
        ("blur", "fig-x", "main"),
    ]
    assert entries["chapters/reference/notation"] == [("x", "", "main")]
    assert [entry[2] for entry in entries[terms.GLOSSARY]] == ["", "", "", "main"]


# A public repository -----------------------------------------------------------------------------


def test_every_module_of_the_library_has_a_page():
    modules = {path.stem for path in (ROOT / "src/cnnbook").glob("[!_]*.py")}
    folder = ROOT / "chapters/reference/api"
    pages = {path.stem for path in folder.glob("*.md")} - {"index"}
    assert pages == modules
    for module in modules:
        assert f".. automodule:: cnnbook.{module}\n" in (folder / f"{module}.md").read_text()
    listed = re.findall(r"^   cnnbook\.(\w+)$", (folder / "index.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(modules)


def test_notebooks_are_valid_as_nbformat_reads_them():
    for path in NOTEBOOKS:
        nbformat.validate(nbformat.read(path, as_version=4))


# The coursework's tables -------------------------------------------------------------------------


def test_tables_of_the_coursework() -> None:
    row = {
        "assignment": "depth",
        "title": "Depth",
        "chapter": "chapters/vanishing/depth",
        "points": "29.0",
        "by hand": "2.5",
        "minutes": "120",
        "seconds": "5.6",
        "reference": "26.5",
        "wrong": "9.0",
        "caught": "8",
        "attacks": "19",
        "survived": "18",
    }
    head, found = coursework_tables.assignments([row])
    assert len(head) == len(found) == 8
    assert found == [
        "[Depth](/chapters/vanishing/depth) (`depth`)",
        "29",
        "2.5",
        "120",
        "6 s",
        "26.5 of 26.5",
        "8 of 9",
        "18 of 19",
    ]
    way = {"way": "ours", "submissions": "200", "workers": "2", "seconds": "31.4", "ratio": "2.96"}
    assert coursework_tables.speed([way])[1] == ["ours", "200", "2", "31", "3.0"]
