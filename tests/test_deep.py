"""The recorded benchmark of the deepest networks, of which only the cheap parts can be repeated."""

import importlib.util
from pathlib import Path

import pytest

from cnnbook import recorded, repro

RECIPE = Path(__file__).resolve().parent.parent / "benchmarks" / "deep.py"
TABLE = RECIPE.with_suffix(".csv")
STARTS = RECIPE.parent.parent / "experiments" / "deep_starts.csv"


@pytest.fixture(scope="module")
def deep():
    spec = importlib.util.spec_from_file_location("deep", RECIPE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_complete_and_made_by_its_recipe():
    assert recorded.problems(RECIPE) == []


def test_runs_of_the_shallow_networks_come_out_in_their_bands():
    table = recorded.load(TABLE)
    rows = [table[table["depth"] == depth].index[-1] for depth in (0, 50)]
    found = recorded.recompute(TABLE, rows)
    assert found["inside"].all(), found.to_string()


@pytest.mark.parametrize("start", ["delta-orthogonal", "Gaussian"])
def test_the_gradient_at_the_start_of_the_deepest_comes_out_again(deep, start):
    table = recorded.load(TABLE)
    part = table[table["start"] == start]
    row = part[part["depth"] == part["depth"].max()].iloc[0]
    repro.seed_all(int(row["seed"]))
    ratio = deep.start_ratio(deep.network(int(row["depth"]), start))
    assert ratio == pytest.approx(row["start_ratio"], abs=deep.TOLERANCES["start_ratio"])


def test_the_first_gradients_of_ten_thousand_layers_come_out_again():
    table = recorded.load(STARTS)
    rows = table[table["depth"] == 10_000].index[-1:].tolist()
    found = recorded.recompute(STARTS, rows)
    assert len(found) == 2  # of the first layer and of the second
    assert found["inside"].all(), found.to_string()
