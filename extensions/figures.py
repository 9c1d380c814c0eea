"""Figures for dark pages: beside each image of a notebook, its twin on a dark ground.

A figure is drawn once, on white. Its twin is made from its pixels: each colour of the book
(``cnnbook.plots.COLORS``), and black, has a partner that is as legible on the dark ground as it is
on white, and what lies between white and a colour goes between the ground and the partner. What
``plots.pictures`` noted in the metadata of the output keeps its colours, for they are data.
"""

import base64
import functools
import gc
import hashlib
import io
import os
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib.image
import nbformat
import numpy as np
from docutils import nodes
from matplotlib.colors import to_rgb
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

Found = tuple[bytes, list[list[float]]]  # a PNG, and where its pictures are

GROUND = "#121212"  # of the theme's dark pages
PARTNERS = ("#4FA8E8", "#FF8A3D", "#2CC89A", "#E79CC9", "#9ADCFF", "#F5BC2F", "#E8E8E8")
TINT = 0.75
SHARP = 2  # how strongly a colour follows the nearest of the book's

# Björn Ottosson (2020), "A perceptual color space for image processing": linear sRGB to OKLab.
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """Return OKLab coordinates (..., 3) of sRGB colours (..., 3) between 0 and 1."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ TO_CONES.T) @ TO_LAB.T


def to_srgb(lab: np.ndarray) -> np.ndarray:
    """Return the sRGB colours (..., 3) of OKLab coordinates, cut to what a screen shows."""
    linear = (lab @ np.linalg.inv(TO_LAB).T) ** 3 @ np.linalg.inv(TO_CONES).T
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def darken(rgb: np.ndarray) -> np.ndarray:
    """Return what takes the place of sRGB colours (..., 3) on a dark ground.

    Seen from white, a colour lies in a direction and at a distance. White becomes the ground; a
    direction becomes the mean of the partners' directions, weighted by nearness. The distance, as a
    share of the full colour's, is raised to a power under one: on dark, faint tints drown.
    """
    from cnnbook.plots import COLORS  # with PyTorch, which a build that changes no figure can spare

    white, ground = np.array([1.0, 0, 0]), to_lab(np.array(to_rgb(GROUND)))
    colors = to_lab(np.array([to_rgb(color) for color in COLORS])) - white
    partners = to_lab(np.array([to_rgb(color) for color in PARTNERS])) - ground
    length = np.linalg.norm(colors, axis=-1)
    seen = to_lab(rgb) - white
    far = np.linalg.norm(seen, axis=-1, keepdims=True)
    apart = 1 - (seen / np.maximum(far, 1e-9)) @ (colors / length[:, None]).T
    weights = 1 / (apart.clip(0) + 1e-6) ** SHARP
    weights /= weights.sum(axis=-1, keepdims=True)
    share = far / (weights @ length)[..., None]
    return to_srgb(ground + share**TINT * (weights @ partners))


def twin(png: bytes, pictures: list[list[float]]) -> bytes:
    """Return the PNG for dark pages of a PNG on white, with ``pictures`` as they are."""
    image = matplotlib.image.imread(io.BytesIO(png), format="png")
    rgb = image[..., :3]
    if image.shape[-1] == 4:
        rgb = 1 - image[..., 3:] * (1 - rgb)
    levels = np.round(rgb * 255).astype(np.uint8)
    codes, place = np.unique(levels @ np.array([65536, 256, 1]), return_inverse=True)
    colors = codes[:, None] // np.array([65536, 256, 1]) % 256
    dark = np.round(darken(colors / 255) * 255).astype(np.uint8)[place].reshape(levels.shape)
    height, width, _ = levels.shape
    for left, top, right, bottom in pictures:
        rows = slice(round(top * height), round(bottom * height))
        columns = slice(round(left * width), round(right * width))
        dark[rows, columns] = levels[rows, columns]
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, dark, format="png")
    return buffer.getvalue()


class figure_image(nodes.image):
    """An image of a notebook or its twin: fetched when it comes into view, its place kept free."""


def images_of_cells(cells: list[Any]) -> dict[str, Found]:
    """Return the images of cells and their pictures, by SHA-256."""
    found = {}
    for cell in cells:
        for output in cell.get("outputs", []):
            if encoded := output.get("data", {}).get("image/png"):
                png = base64.b64decode(encoded)
                noted = output.metadata.get("image/png", {}).get("pictures", [])
                found[hashlib.sha256(png).hexdigest()] = png, noted
    return found


@functools.cache
def recipe() -> bytes:
    """Return what a twin depends on besides its figure: the code that makes it, and the colours."""
    library = find_spec("cnnbook")
    plots = Path(library.origin).with_name("plots.py")
    return Path(__file__).read_bytes() + plots.read_bytes()


def pair(app: Sphinx, uri: str, known: Found, **attributes: Any) -> list[figure_image]:
    """Return an image of a notebook, whose file is at ``uri``, and its twin, whose file is made."""
    png, pictures = known
    key = hashlib.sha256(png + repr(pictures).encode() + recipe()).hexdigest()[:16]
    dark = uri.removesuffix(".png") + f"-{key}-dark.png"
    file = Path(app.srcdir) / dark.lstrip("/")
    if not file.exists():
        made = file.with_suffix(f".{os.getpid()}")  # a build that is broken off leaves no half
        made.write_bytes(twin(png, pictures))
        made.replace(file)
    attributes["size"] = struct.unpack(">II", png[16:24])
    classes = attributes.pop("classes", [])
    # Classes of our own: behind its only-light and only-dark the theme hides the caption, too.
    # An image that is dark-light it leaves as it is.
    return [
        figure_image(uri=uri, classes=[*classes, "on-light"], **attributes),
        figure_image(uri=dark, classes=[*classes, "on-dark", "dark-light"], **attributes),
    ]


def add_twins(app: Sphinx, doctree: nodes.document) -> None:
    """Put a twin beside each image that a notebook made."""
    source = Path(app.env.doc2path(app.env.docname))
    if source.suffix != ".ipynb":
        return
    known = images_of_cells(nbformat.read(source, as_version=4).cells)
    for image in list(doctree.findall(nodes.image)):
        if found := known.get(Path(image["uri"]).stem):
            image.replace_self(pair(app, known=found, **image.attributes))


class Finding(SphinxDirective):
    """``{finding} page figure-name``: a figure of a notebook on another page, with other words."""

    required_arguments = 2
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the figure, with the content as its caption."""
        page, name = self.arguments
        source = Path(self.env.doc2path(page))
        self.env.note_dependency(str(source))
        cells = nbformat.read(source, as_version=4).cells
        named = [
            cell
            for cell in cells
            if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == name
        ]
        if not named:
            raise self.error(f"{page} has no figure called {name}")
        ((digest, found),) = images_of_cells(named).items()
        file = Path(self.env.app.doctreedir) / f"{digest}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(found[0])
        uri = "/" + Path(os.path.relpath(file, self.env.srcdir)).as_posix()
        alt = named[0].metadata.mystnb.image.alt
        figure = nodes.figure("", *pair(self.env.app, uri, found, alt=alt), align="default")
        content = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, content)
        figure += nodes.caption("", "", *[child for one in content for child in one.children])
        return [figure]


def visit_figure_image(writer: Any, node: figure_image) -> None:
    """Write an image with its size, so that nothing moves when it arrives."""
    writer.visit_image(node)
    width, height = node["size"]
    more = f'<img loading="lazy" width="{width}" height="{height}" '
    writer.body[-1] = writer.body[-1].replace("<img ", more)


def skip(_writer: Any, _node: nodes.Node) -> None:
    """Leave the image out of what is no page."""
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what Sphinx is to do; Sphinx calls this."""
    gc.set_threshold(100_000, 50, 100)  # torch, which comes with cnnbook, makes collections slow
    app.add_node(
        figure_image,
        html=(visit_figure_image, lambda writer, node: writer.depart_image(node)),
        latex=(skip, None),
        text=(skip, None),
    )
    app.add_directive("finding", Finding)
    # Before Sphinx collects the images of a page, which it does at priority 500.
    app.connect("doctree-read", add_twins, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
