"""The site as a whole: one page to print, and what search engines and previews of links want.

A sitemap and a preview with a picture need the address at which the pages will stand: ``baseurl``
under ``html`` in ``_config.yml``, or the environment variable ``BOOK_URL``. Without one, neither is
made; nothing in the pages then leads out of the folder they are in.
"""

import os
import re
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import matplotlib.image
from docutils import nodes
from guide import chapters
from matplotlib.figure import Figure
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.domains.math import MathDomain

PRINT, CARD = "print.html", "_static/preview.png"
NOT_PRINTED = "chapters/reference/api/"
ARTICLE = re.compile(r'<article class="bd-article">(.*?)</article>', re.DOTALL)
# What only a screen can use, or what paper does not need twice.
DROPPED = re.compile(
    r'<a class="headerlink".*?</a>|<img[^>]*on-dark[^>]*/>|<nav\b.*?</nav>'
    r'|<div class="explorable".*?</div>\s*</div>|<p class="times">.*?</p>',
    re.DOTALL,
)
STYLE = """
body { background: #fff; color: #000; font-size: 11pt }
main { margin: 0 auto; max-width: 46rem; padding: 1rem }
article { break-before: page }
figure, pre, table, .math { break-inside: avoid }
pre { white-space: pre-wrap }
.toggle-button, .copybtn { display: none !important }
.bd-article aside.margin { border-left: 3px solid #888; float: none; margin: 1rem 0; width: auto }
"""


def with_own_formulas(domain: MathDomain, page: str | None = None) -> bool:
    """Whether a page has formulas. Sphinx counts those of all pages below it in the contents."""
    known = domain.data["has_equations"]
    return known.get(page, False) if page else any(known.values())


def read_settings(_app: Sphinx, config: Config) -> None:
    """Tell the other extensions where the pages and their source will stand, if that is known."""
    if not config.html_theme_options.get("repository_url"):
        config.html_theme_options.pop("launch_buttons", None)  # the theme would fail on them
    address = os.environ.get("BOOK_URL") or config.html_baseurl
    if not address:
        return
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).netloc:
        raise ValueError(f"BOOK_URL must be the address of a site, https://…, got {address!r}")
    address = address.rstrip("/") + "/"
    config.html_baseurl = config.ogp_site_url = address
    config.ogp_image = address + CARD
    config.ogp_image_alt = config.project
    config.sitemap_url_scheme = "{link}"
    config.sitemap_excludes = ["search.html", "genindex.html", "py-modindex.html"]


def for_print(page: str, html: str, printed: set[str]) -> str:
    """Return the article of a page for the page that has all: its anchors made unique, links kept.

    Args:
        page: Its name, such as chapters/pooling/shift.
        html: What was written to its file.
        printed: The names of all pages that stand there.
    """
    folder = page.rsplit("/", 1)[0] + "/" if "/" in page else ""

    def anchor(path: str, mark: str) -> str:
        return "--".join(filter(None, [path.replace("/", "-"), mark]))

    def link(match: re.Match) -> str:
        path, _, mark = match[2].partition("#")
        if urlsplit(match[2]).scheme:
            return match[0]
        whole = os.path.normpath(folder + path) if path else page + ".html"
        if match[1] == "href" and whole.removesuffix(".html") in printed:
            return f'href="#{anchor(whole.removesuffix(".html"), mark)}"'
        return f'{match[1]}="{whole}{"#" + mark if mark else ""}"'

    (body,) = ARTICLE.findall(html)
    body = DROPPED.sub("", body).replace(' loading="lazy"', "")
    body = re.sub(r'\bid="([^"]+)"', lambda match: f'id="{anchor(page, match[1])}"', body)
    body = re.sub(r'\b(href|src)="([^"]+)"', link, body)
    return f'<article class="bd-article" id="{anchor(page, "")}">{body}</article>'


def pages_in_order(app: Sphinx) -> list[str]:
    """Return the pages to print, in the order of the contents."""
    relations = app.env.collect_relations()
    page: str | None = app.config.root_doc
    order = []
    while page:
        order.append(page)
        page = relations[page][2]
    return [page for page in order if not page.startswith(NOT_PRINTED)]


def write_print_form(app: Sphinx) -> None:
    """Write the page that has all pages, without what only a screen can use."""
    out = Path(app.outdir)
    pages = pages_in_order(app)
    articles = [
        for_print(page, Path(app.builder.get_outfilename(page)).read_text(), {*pages})
        for page in pages
    ]
    root = (out / f"{app.config.root_doc}.html").read_text()
    styles = re.findall(r'<link[^>]*rel="stylesheet"[^>]*/>', root)
    _, sections = next((index, sections) for _, index, sections in chapters(Path(app.srcdir)))
    some = (out / f"{sections[0]}.html").read_text()
    scripts = re.findall(
        r"<script[^>]*>window\.MathJax.*?</script>|<script[^>]*mathjax[^>]*></script>", some
    )
    up = "../" * sections[0].count("/")
    head = "\n".join([*styles, *(script.replace(up, "") for script in scripts)])
    title = escape(app.config.project)
    (out / PRINT).write_text(
        f'<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8"/>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f'<meta name="robots" content="noindex"/><title>{title}: all pages</title>'
        f"{head}<style>{STYLE}</style></head><body><main>{''.join(articles)}</main></body></html>"
    )


def draw_card(app: Sphinx) -> None:
    """Draw the preview: the title, beside the first figure of the first page if it has one."""
    html = (Path(app.outdir) / f"{app.config.root_doc}.html").read_text()
    shown = re.search(r'src="(_images/[^"]+)"', html)
    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor="white")
    figure.text(0.04, 0.55, app.config.project.replace(" ", "\n", 1), size=38, weight="bold")
    figure.text(0.04, 0.4, "Why they do, why they don't:\nevery claim measured.", size=22)
    if shown:
        ax = figure.add_axes((0.56, 0.05, 0.42, 0.9))
        ax.imshow(matplotlib.image.imread(Path(app.outdir) / shown[1]), interpolation="lanczos")
        ax.axis("off")
    figure.savefig(Path(app.outdir) / CARD, dpi=100, bbox_inches=None)


def let_go(_app: Sphinx, doctree: nodes.document) -> None:
    """Let every part of a page belong to that page.

    What MyST leaves to reStructuredText, such as the pages of the library, belongs to a document of
    its own otherwise, which holds all that Sphinx knows: 8 MB a page, to be read at each build.
    """
    for node in doctree.findall():
        node.document = doctree


def finish(app: Sphinx, error: Exception | None) -> None:
    """Write what needs all pages."""
    if error or app.builder.name != "html":
        return
    write_print_form(app)
    if app.config.ogp_site_url:
        draw_card(app)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what Sphinx is to do; Sphinx calls this."""
    MathDomain.has_equations = with_own_formulas
    app.setup_extension("sphinxext.opengraph")
    if os.environ.get("BOOK_URL") or app.config.html_baseurl:  # without one, it warns
        app.setup_extension("sphinx_sitemap")
    app.connect("config-inited", read_settings, priority=400)
    app.connect("doctree-read", let_go, priority=900)
    app.connect("build-finished", finish)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
