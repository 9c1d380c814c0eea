"""The recorded networks of up to ten thousand layers, of which the cheap parts are repeated."""

from pathlib import Path

import pytest

from cnnbook import recorded, repro

ROOT = Path(__file__).resolve().parent.parent
DEEPEST = ROOT / "benchmarks" / "deep.py"
TRAINING = ROOT / "experiments" / "deep_training.py"
STARTS = ROOT / "experiments" / "deep_starts.csv"


def assert_first_gradient(path, row, point):
    """Draw the network of a recorded row again and compare its first gradients."""
    recipe = recorded.recipe(path)
    repro.seed_all(int(row["seed"]))
    ratio = recipe.start_ratio(recipe.network(int(row["depth"]), point))
    assert ratio == pytest.approx(row["start_ratio"], abs=recipe.TOLERANCES["start_ratio"])


def test_the_table_of_the_deepest_is_complete_and_made_by_its_recipe():
    assert recorded.problems(DEEPEST) == []


def test_it_has_a_thousand_layers_and_ten_thousand_with_five_seeds():
    table = recorded.load(DEEPEST.with_suffix(".csv"))
    seeds = table.groupby(["q_star", "depth"])["seed"].nunique().unstack()
    assert (seeds[[1000, 10_000]] >= 5).all(axis=None), seeds.to_string()


@pytest.mark.parametrize("q_star", [0.0035, 0.0259])
def test_the_first_gradient_of_ten_thousand_layers_comes_out_again(q_star):
    table = recorded.load(DEEPEST.with_suffix(".csv"))
    row = table[(table["depth"] == 10_000) & (table["q_star"] == q_star)].iloc[0]
    assert_first_gradient(DEEPEST, row, q_star)


@pytest.mark.parametrize("start", ["delta-orthogonal", "Gaussian"])
def test_the_first_gradient_of_a_thousand_layers_comes_out_again(start):
    table = recorded.load(TRAINING.with_suffix(".csv"))
    row = table[(table["depth"] == 1000) & (table["start"] == start)].iloc[0]
    assert_first_gradient(TRAINING, row, start)


def test_a_run_of_fifty_layers_comes_out_in_its_band():
    csv = TRAINING.with_suffix(".csv")
    table = recorded.load(csv)
    found = recorded.recompute(csv, [table[table["depth"] == 50].index[-1]])
    assert found["inside"].all(), found.to_string()


def test_the_first_gradients_under_a_head_on_the_mean_come_out_again():
    table = recorded.load(STARTS)
    rows = table[table["depth"] == 10_000].index[-1:].tolist()
    found = recorded.recompute(STARTS, rows)
    assert len(found) == 2  # of the first layer and of the second
    assert found["inside"].all(), found.to_string()
