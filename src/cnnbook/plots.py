"""Pictures of the book: tables and arrays in, matplotlib figures out. Nothing is computed here."""

import sys
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike

# Okabe & Ito (2008): told apart by people with any common colour vision. Their yellow is left out,
# being too faint on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def use_style() -> None:
    """Set matplotlib's defaults to the book's: legible at phone width, safe colours.

    In a notebook, each figure from here on also carries ``pictures`` in its output's metadata, so
    that the pages can be drawn dark.
    """
    mpl.rcParams.update(
        {
            "axes.prop_cycle": mpl.cycler(color=COLORS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "figure.dpi": 120,
            "figure.figsize": (7.0, 3.2),
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "image.cmap": "gray",
            "image.interpolation": "nearest",
            "legend.frameon": False,
            "savefig.bbox": "tight",
        }
    )
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        shell.display_formatter.mimebundle_formatter.for_type(Figure, _metadata)


def _metadata(figure: Figure, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What IPython is to add to a figure's output: no data, and metadata of its PNG."""
    return {}, {"image/png": {"pictures": pictures(figure)}}


def pictures(figure: Figure) -> list[list[float]]:
    """Return where a figure saved with the book's style shows images, matrices and colour bars.

    Their colours carry data, so a dark page must leave them as they are.

    Args:
        figure: Any figure.

    Returns:
        Left, top, right and bottom of each, as fractions of the saved figure's width and height.
    """
    figure.draw_without_rendering()
    whole = figure.get_tightbbox().padded(mpl.rcParams["savefig.pad_inches"])
    places = []
    for ax in figure.axes:
        for artist in ax.findobj(lambda one: isinstance(one, (AxesImage, QuadMesh))):
            box = Bbox.intersection(artist.get_window_extent(), ax.bbox)
            if box is None or not artist.get_visible():
                continue
            (left, bottom), (right, top) = box.get_points() / figure.dpi - whole.min
            places.append(
                [
                    left / whole.width,
                    1 - top / whole.height,
                    right / whole.width,
                    1 - bottom / whole.height,
                ]
            )
    return [[round(float(min(max(part, 0.0), 1.0)), 4) for part in place] for place in places]


def grid(
    arrays: Sequence[ArrayLike],
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    limits: tuple[float, float] | None = None,
    size: float = 1.75,
    numbers: str | None = None,
    cmap: str = "gray",
) -> Figure:
    """Draw images or matrices side by side, without axes.

    Args:
        arrays: Arrays (H, W), or (H, W, 3) in [0, 1].
        titles: One title per array.
        columns: How many to a row; all by default.
        limits: Values drawn as the darkest and brightest; each array's own range by default.
        size: Width of one array in inches.
        numbers: A format such as ``".1f"`` to write each entry into its square.
        cmap: A matplotlib colormap.

    Raises:
        ValueError: If there are no arrays, or another number of titles.
    """
    if not len(arrays):
        raise ValueError("arrays must hold at least one array, got none")
    if titles is not None and len(titles) != len(arrays):
        raise ValueError(f"titles must be {len(arrays)}, one per array, got {len(titles)}")
    columns = columns or len(arrays)
    rows = -(-len(arrays) // columns)
    height = size * max(np.shape(array)[0] / np.shape(array)[1] for array in arrays) + 0.3
    figure, axes = plt.subplots(
        rows, columns, figsize=(size * columns, height * rows), squeeze=False
    )
    low, high = limits if limits is not None else (None, None)
    for position, ax in enumerate(axes.flat):
        ax.axis("off")
        if position >= len(arrays):
            continue
        array = np.asarray(arrays[position])
        image = ax.imshow(array, cmap=cmap, vmin=low, vmax=high)
        if titles is not None:
            ax.set_title(titles[position])
        if numbers is not None:
            write_numbers(ax, array, numbers, image)
    return figure


def write_numbers(ax: Axes, array: np.ndarray, spec: str, image: mpl.image.AxesImage) -> None:
    """Write each entry of ``array`` (H, W) into its square, dark on bright and bright on dark."""
    for (row, column), value in np.ndenumerate(array):
        red, green, blue, _ = image.cmap(image.norm(value))
        bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
        ax.text(
            column,
            row,
            format(value, spec),
            ha="center",
            va="center",
            fontsize="small",
            color="black" if bright else "white",
        )


def frame(ax: Axes, row: float, column: float, height: int, width: int, color: str) -> None:
    """Outline the pixels ``row`` … ``row + height − 1`` × ``column`` … of an image on ``ax``."""
    ax.add_patch(
        mpl.patches.Rectangle(
            (column - 0.5, row - 0.5), width, height, fill=False, edgecolor=color, linewidth=2.5
        )
    )


def bands(ax: Axes, table: pd.DataFrame, x: str, by: str | None = None, log: bool = False) -> None:
    """Draw a mean over seeds and its interval against ``x``: one line with a band per group.

    Args:
        ax: Where to draw.
        table: Rows with the columns ``mean``, ``low`` and ``high``, as ``check.summarize`` makes.
        x: Column of the horizontal axis.
        by: Column whose values tell the lines apart, in order of appearance.
        log: Whether the vertical axis is logarithmic.

    Raises:
        ValueError: If a column is missing, or there are more groups than colours.
    """
    needed = {x, "mean", "low", "high"} | ({by} if by else set())
    if missing := needed - set(table.columns):
        raise ValueError(f"table must have the columns {sorted(missing)}, got {[*table.columns]}")
    groups = [(None, table)] if by is None else list(table.groupby(by, sort=False))
    if len(groups) > len(COLORS):
        raise ValueError(f"by must give at most {len(COLORS)} groups, got {len(groups)}")
    for (name, rows), color, marker in zip(groups, COLORS, MARKERS, strict=False):
        ax.fill_between(rows[x], rows["low"], rows["high"], color=color, alpha=0.2, linewidth=0)
        ax.plot(rows[x], rows["mean"], color=color, marker=marker, markersize=4, label=name)
    if log:
        ax.set_yscale("log")
    if by is not None:
        ax.legend()


def bars(ax: Axes, table: pd.DataFrame, label: str) -> None:
    """Draw a mean over seeds with its interval for each named row, as dots with whiskers.

    Args:
        ax: Where to draw; the names go down the vertical axis.
        table: Rows with the columns ``mean``, ``low`` and ``high``, as ``check.summarize`` makes.
        label: Column that names the rows.

    Raises:
        ValueError: If a column is missing.
    """
    if missing := {label, "mean", "low", "high"} - set(table.columns):
        raise ValueError(f"table must have the columns {sorted(missing)}, got {[*table.columns]}")
    place = np.arange(len(table))
    reach = np.stack([table["mean"] - table["low"], table["high"] - table["mean"]])
    ax.errorbar(table["mean"], place, xerr=reach, fmt="o", color=COLORS[0], capsize=4)
    ax.set_yticks(place, table[label])
    ax.invert_yaxis()
    ax.margins(y=0.15)
