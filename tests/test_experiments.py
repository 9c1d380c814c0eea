"""The recorded experiments: complete, made by their recipes, and still what those give.

A random sample of runs is repeated, about a minute of it in all by the recorded times. The choice
is that of the table's hash and of the environment variable EXPERIMENTS_SAMPLE (a number; 0 if
unset); a failure prints it. EXPERIMENTS names another folder.
"""

import hashlib
import json
import os
from pathlib import Path

import pytest

from cnnbook import recorded

FOLDER = Path(os.environ.get("EXPERIMENTS", Path(__file__).resolve().parent.parent / "experiments"))
RECIPES = sorted(FOLDER.glob("[!_]*.py"))
SECONDS = 50

each_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)


@each_recipe
def test_the_table_is_complete_and_made_by_its_recipe(recipe):
    assert recorded.problems(recipe) == []


def test_every_table_has_its_recipe():
    made = [path for suffix in ("csv", "json") for path in FOLDER.glob(f"*.{suffix}")]
    assert [path.name for path in made if path.with_suffix(".py") not in RECIPES] == []


@each_recipe
def test_a_random_sample_of_runs_comes_out_in_its_band(recipe):
    csv = recipe.with_suffix(".csv")
    table = recorded.load(csv)
    number = os.environ.get("EXPERIMENTS_SAMPLE", "0")
    record = json.loads(recipe.with_suffix(".json").read_text(encoding="utf-8"))
    choice = hashlib.sha256(f"{record['table_sha256']} {number}".encode()).digest()
    rows = recorded.sample(table, SECONDS / len(RECIPES), int.from_bytes(choice[:8], "big"))
    print(f"EXPERIMENTS_SAMPLE={number}: rows {rows} of {csv.name}")
    found = recorded.recompute(csv, rows)
    outside = found[~found["inside"]]
    assert outside.empty, f"rows {rows} of {csv.name}, repeated:\n{outside.to_string()}"
