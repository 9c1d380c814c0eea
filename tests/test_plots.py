"""``plots``: what is given is what is drawn."""

import io
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.colors import to_hex

from cnnbook import plots


@pytest.fixture(autouse=True)
def _close_figures():
    plt.switch_backend("agg")
    yield
    plt.close("all")


SUMMARY = pd.DataFrame(
    {
        "net": ["a", "a", "b", "b"],
        "depth": [1, 2, 1, 2],
        "mean": [1.0, 2.0, 3.0, 4.0],
        "low": [0.5, 1.5, 2.5, 3.5],
        "high": [1.5, 2.5, 3.5, 4.5],
    }
)


def test_grid_draws_every_array_with_its_title():
    arrays = [np.full((2, 3), value) for value in range(3)]
    figure = plots.grid(arrays, ["a", "b", "c"], columns=2, limits=(0, 2))
    shown = [ax for ax in figure.axes if ax.images]
    assert len(figure.axes) == 4
    assert [ax.get_title() for ax in shown] == ["a", "b", "c"]
    for ax, array in zip(shown, arrays, strict=True):
        assert np.array_equal(ax.images[0].get_array(), array)
        assert ax.images[0].get_clim() == (0, 2)


def test_grid_is_as_tall_as_its_arrays_are():
    wide, tall = (plots.grid([np.zeros(shape)], size=2.0) for shape in ((1, 8), (8, 4)))
    assert tuple(wide.get_size_inches()) == pytest.approx((2.0, 0.55))
    assert tuple(tall.get_size_inches()) == pytest.approx((2.0, 4.3))


def test_grid_writes_numbers_legibly():
    figure = plots.grid([np.array([[0.0, 1.0]])], numbers=".1f")
    texts = figure.axes[0].texts
    assert [text.get_text() for text in texts] == ["0.0", "1.0"]
    assert [text.get_color() for text in texts] == ["white", "black"]


def test_frame_surrounds_whole_pixels():
    ax = plt.figure().add_subplot()
    plots.frame(ax, 1, 2, 3, 4, plots.COLORS[0])
    (patch,) = ax.patches
    assert patch.get_bbox().bounds == (1.5, 0.5, 4, 3)
    assert to_hex(patch.get_edgecolor()).upper() == plots.COLORS[0]


def test_bands_draws_one_line_and_one_band_per_group():
    ax = plt.figure().add_subplot()
    plots.bands(ax, SUMMARY, "depth", "net", log=True)
    assert [line.get_label() for line in ax.lines] == ["a", "b"]
    assert np.array_equal(ax.lines[1].get_xydata(), [[1, 3], [2, 4]])
    edges = ax.collections[0].get_paths()[0].vertices
    assert {(1.0, 0.5), (1.0, 1.5), (2.0, 2.5)} <= {tuple(edge) for edge in edges}
    assert ax.get_yscale() == "log"
    assert ax.get_legend() is not None


def test_bands_of_a_single_group_needs_no_legend():
    ax = plt.figure().add_subplot()
    plots.bands(ax, SUMMARY[:2], "depth")
    assert len(ax.lines) == 1
    assert ax.get_yscale() == "linear"
    assert ax.get_legend() is None


def test_bars_draws_means_and_intervals():
    ax = plt.figure().add_subplot()
    plots.bars(ax, SUMMARY[:2].assign(name=["x", "y"]), "name")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["x", "y"]
    (container,) = ax.containers
    assert np.array_equal(container.lines[0].get_xdata(), [1, 2])
    whiskers = container.lines[2][0].get_segments()
    assert [segment[:, 0].tolist() for segment in whiskers] == [[0.5, 1.5], [1.5, 2.5]]


def test_use_style_sets_the_colours():
    with plt.rc_context():
        plots.use_style()
        colors = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    assert tuple(colors) == plots.COLORS


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.grid([]), "at least one array"),
        (lambda: plots.grid([np.eye(2)], ["a", "b"]), "titles must be 1, one per array, got 2"),
        (
            lambda: plots.bands(plt.figure().add_subplot(), SUMMARY.drop(columns="low"), "depth"),
            r"table must have the columns \['low'\]",
        ),
        (
            lambda: plots.bands(
                plt.figure().add_subplot(),
                pd.concat([SUMMARY.assign(net=str(i)) for i in range(9)]),
                "depth",
                "net",
            ),
            "at most 7 groups, got 9",
        ),
        (
            lambda: plots.bars(plt.figure().add_subplot(), SUMMARY, "name"),
            r"table must have the columns \['name'\]",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_pictures_are_where_the_saved_figure_shows_them():
    with plt.rc_context():
        plots.use_style()
        figure, (left, right) = plt.subplots(1, 2)
        left.imshow(np.full((4, 6, 3), [1.0, 0, 0]))
        left.set_title("a title above")
        right.plot([1, 2])
        right.set_ylabel("a label between the two")
        ((x0, y0, x1, y1),) = plots.pictures(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=figure.dpi)
    buffer.seek(0)
    image = plt.imread(buffer)[..., :3]
    rows, columns = np.nonzero(np.abs(image - [1, 0, 0]).max(axis=-1) < 0.01)
    height, width, _ = image.shape
    shown = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    found = [x0 * width, y0 * height, x1 * width, y1 * height]
    assert found == pytest.approx(shown, abs=3)  # the frame covers some


def test_matrices_and_colour_bars_are_pictures_and_curves_are_not():
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([1, 2])
    hidden = left.imshow(np.eye(2))
    hidden.set_visible(False)
    assert plots.pictures(figure) == []
    plt.colorbar(right.pcolormesh(np.eye(3)), ax=right)
    assert len(plots.pictures(figure)) == 2


def test_a_notebook_notes_the_pictures_of_its_figures():
    shell = InteractiveShell()
    with plt.rc_context(), mock.patch("IPython.get_ipython", return_value=shell):
        plots.use_style()
    _, metadata = shell.display_formatter.format(plots.grid([np.eye(2)]))
    assert metadata["image/png"]["pictures"] == plots.pictures(plots.grid([np.eye(2)]))
