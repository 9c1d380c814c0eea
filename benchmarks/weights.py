"""What a page weighs: kilobytes of HTML, of its images, and of what all pages share.

The pages are built from nothing. Text is compressed as a server sends it (gzip); of a figure's two
versions, light and dark, the light one counts, since a browser fetches one of them. Shared are the
style sheets and scripts that the page names.
"""

import gzip
import re

from ._book import build, copied

SEEDS = range(1)
GRID = [{"pages": "all"}]
FREE = ("html", "images", "shared")
NAMED = re.compile(r'<(img|script|link)\b[^>]*?\b(?:src|href)="([^"#?]+)[^"]*"[^>]*>')


def run(seed, pages):
    """Weigh every page of a copy."""
    rows = []
    with copied() as book:
        build(book)
        html = book / "_build/html"
        for page in sorted(html.glob("**/*.html")):
            if page.relative_to(html).parts[0].startswith("_"):
                continue
            text = page.read_text()
            files = {"img": set(), "shared": set()}
            for tag, name in NAMED.findall(text):
                file = (page.parent / name).resolve()
                if file.is_file() and (tag != "link" or file.suffix == ".css"):
                    files["img" if tag == "img" else "shared"].add(file)
            rows.append(
                {
                    "page": str(page.relative_to(html).with_suffix("")),
                    "html": compressed(page),
                    "images": sum(map(weight, files["img"])),
                    "shared": sum(map(compressed, files["shared"])),
                }
            )
    return rows


def weight(file):
    """Return the kilobytes of a file."""
    return file.stat().st_size / 1e3


def compressed(file):
    """Return the kilobytes of a file of text, compressed."""
    return len(gzip.compress(file.read_bytes(), 6)) / 1e3
