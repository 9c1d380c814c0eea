"""``recorded``: a table that cannot drift from its recipe."""

import json
import math
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cnnbook import _files, _recipes, _tables, recorded, sweep
from cnnbook.sweep import SweepError

RECIPE = '''"""An experiment."""

import math

import torch

from ._helper import scaled


def run(seed, width, norm):
    # a comment
    if width == 3 and seed == 1:
        raise ValueError("too wide")
    return {
        "draw": scaled(torch.rand(())),
        "count": width * 7,
        "exact": math.sqrt(width + seed),
        "odd": seed % 2 == 1,
        "text": str(norm),
        "limit": math.inf if seed == 2 else math.nan if seed == 3 else 1.0,
    }


GRID = {"width": [1, 3], "norm": [None, "batch"]}
SEEDS = range(5)
TOLERANCES = {"count": 0.5}
EXACT = ("exact",)
MAY_FAIL = [{"width": 3, "norm": None}, {"norm": "batch", "width": 3}]
'''
HELPER = "from . import _deeper\n\n\ndef scaled(x):\n    return _deeper.FACTOR * x\n"


@pytest.fixture
def recipe(tmp_path):
    """A recipe with two helpers, not yet recorded."""
    path = tmp_path / "killed.py"
    path.write_text(RECIPE)
    (tmp_path / "_helper.py").write_text(HELPER)
    (tmp_path / "_deeper.py").write_text("FACTOR = 2.0\n")
    return path


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The same, recorded, for ``made`` to copy."""
    path = tmp_path_factory.mktemp("original") / "killed.py"
    path.write_text(RECIPE)
    path.with_name("_helper.py").write_text(HELPER)
    path.with_name("_deeper.py").write_text("FACTOR = 2.0\n")
    recorded.record(path)
    return path


@pytest.fixture
def made(original, tmp_path):
    """A copy of a recipe with its table, its record and its log."""
    shutil.copytree(original.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / "killed.py"


def same(first, second):
    pd.testing.assert_frame_equal(
        first.drop(columns="seconds"), second.drop(columns="seconds"), check_exact=True
    )


def edit(path, old, new, count=1):
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, count))


def test_a_recorded_table_comes_back_as_it_was(recipe):
    table = recorded.record(recipe)
    loaded = recorded.load(recipe.with_suffix(".csv"))
    pd.testing.assert_frame_equal(loaded, table, check_exact=True)
    assert loaded["norm"].tolist()[:6] == ["none"] * 5 + ["batch"]
    assert loaded["error"].notna().sum() == 2 and loaded["draw"].isna().sum() == 2
    torch.manual_seed(0)
    assert loaded["draw"][0] == 2 * torch.rand(()).item()
    assert recorded.problems(recipe) == []
    entry = json.loads(recipe.with_suffix(".json").read_text())
    assert entry["seeds"] == [0, 1, 2, 3, 4] and entry["runs"] == 20 and entry["failed"] == 2
    assert entry["grid"] == {"width": [1, 3], "norm": [None, "batch"]}
    assert entry["environment"]["torch"] == torch.__version__
    assert entry["seconds"] >= 0 and len(entry["date"]) == 10
    assert not list(recipe.parent.glob("*.part"))
    assert (recipe.parent / ".runs" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize(
    ("grid", "spelt"),
    [
        ('{"a": [math.inf, -1.5]}', {"a": ["inf", -1.5]}),
        ('[{"a": -math.inf}, {"a": 2}]', [{"a": "-inf"}, {"a": 2}]),
    ],
)
def test_a_record_is_json_whatever_the_grid(tmp_path, grid, spelt):
    path = tmp_path / "unbounded.py"
    path.write_text(
        f"import math\nGRID = {grid}\nSEEDS = [0]\ndef run(seed, a):\n    return {{'b': 1.0}}\n"
    )
    recorded.record(path)
    assert recorded.problems(path) == []

    def refuse(name):
        raise ValueError(f"{name} is not JSON")

    entry = json.loads(path.with_suffix(".json").read_text(), parse_constant=refuse)
    assert entry["grid"] == spelt


def test_two_workers_record_the_same(recipe):
    first = recorded.record(recipe)
    same(recorded.record(recipe, workers=2, fresh=True), first)


@given(
    st.lists(
        st.one_of(
            st.floats(),
            st.integers(-(2**63), 2**63 - 1),
            st.booleans(),
            st.none(),
            st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"])),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_every_column_survives_its_file(values):
    table = pd.DataFrame({"other": range(len(values)), "x": _tables.column(values)})
    back = _tables.from_csv(*_tables.to_csv(table))
    pd.testing.assert_frame_equal(back, table, check_exact=True)


def test_a_table_edited_by_hand_is_found_out(made):
    csv = made.with_suffix(".csv")
    csv.write_bytes(csv.read_bytes().replace(b"\n", b"\r\n"))
    recorded.load(csv)  # a checkout may have changed the line endings
    edit(csv, "none", "some")
    with pytest.raises(SweepError, match=r"killed.csv is not the table .*; run make experiments"):
        recorded.load(csv)
    assert "is not the table" in recorded.problems(made)[0]


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("killed.py", "width * 7", "width * 8", True),
        ("killed.py", "range(5)", "range(6)", True),
        ("killed.py", "[1, 3]", "[1, 4]", True),
        ("killed.py", "too wide", "too # wide", True),
        ("_helper.py", "FACTOR * x", "FACTOR + x", True),
        ("_deeper.py", "2.0", "3.0", True),
        ("killed.py", "# a comment", "# another", False),
        ("killed.py", "An experiment.", "The experiment.\n\nIn detail.", False),
        ("killed.py", "0.5}", "0.6}", False),
        ("killed.py", "import math\n", "import math\n\n# note\n\n", False),
        ("killed.py", '("exact",)', "()", False),
        ("_deeper.py", "2.0", "2.0  # two", False),
    ],
)
def test_what_the_hash_covers(made, file, old, new, stale):
    edit(made.with_name(file), old, new)
    if stale:
        with pytest.raises(SweepError, match=r"killed.csv is older than its recipe killed.py; run"):
            recorded.load(made.with_suffix(".csv"))
        assert "is older than its recipe" in recorded.problems(made)[0]
    else:
        recorded.load(made.with_suffix(".csv"))
        assert recorded.problems(made) == []


def test_a_setting_that_the_run_reads_is_part_of_the_code(recipe):
    recipe.write_text(
        "GRID = {}\nSEEDS = [0, 1]\n\n\ndef run(seed):\n    return {'n': len(SEEDS)}\n"
    )
    recorded.record(recipe)
    edit(recipe, "[0, 1]", "[0, 1, 2]")
    assert recorded.record(recipe)["n"].tolist() == [3, 3, 3]


def test_what_shares_a_line_with_a_setting_is_part_of_the_code(tmp_path):
    path, found = tmp_path / "a.py", []
    for text in ("EXACT = (); K = 1\n", "EXACT = (); K = 2\n"):
        path.write_text(text)
        found.append(_recipes.read(path).sha256)
    assert found[0] != found[1]


def test_a_file_that_an_installed_package_hides_is_no_helper(recipe):
    recipe.with_name("torch.py").write_text("")  # ``import torch`` finds the package
    recorded.record(recipe)


def test_more_seeds_reuse_the_runs_that_are_there(recipe):
    first = recorded.record(recipe)
    log = recipe.parent / ".runs" / "killed.jsonl"
    edit(recipe, "range(5)", "range(6)")
    second = recorded.record(recipe)
    assert log.read_bytes().count(b"\n") == 20 + 4 + 2  # the two failures are tried again
    reused = second[(second["seed"] < 5) & second["error"].isna()].reset_index(drop=True)
    pd.testing.assert_frame_equal(reused, first[first["error"].isna()].reset_index(drop=True))
    recorded.record(recipe, fresh=True)
    assert log.read_bytes().count(b"\n") == 24


def test_a_failure_that_is_not_allowed_leaves_the_old_record(made):
    before = [made.with_suffix(s).read_bytes() for s in (".csv", ".json")]
    edit(made, '"norm": "batch", "width": 3', '"norm": "batch", "width": 4')
    text = r"1 runs failed, the first at width=3, norm=batch, seed=1 with ValueError: too wide"
    assert recorded.problems(made) == [text]
    with pytest.raises(SweepError, match=text):
        recorded.record(made)
    assert [made.with_suffix(s).read_bytes() for s in (".csv", ".json")] == before


def test_a_number_in_a_column_of_texts_may_fail(recipe):
    recipe.write_text(
        "def run(seed, a):\n    return {'x': 1 / (a != 1)}\n\n\n"
        "GRID = {'a': [1, 'b']}\nSEEDS = [0]\nMAY_FAIL = [{'a': 1}]\n"
    )
    assert recorded.record(recipe)["error"].notna().tolist() == [True, False]
    assert recorded.problems(recipe) == []


def forge(recipe, change):
    """Rewrite a table with its hash, as nobody should."""
    csv, record = recipe.with_suffix(".csv"), recipe.with_suffix(".json")
    csv.write_text(change(csv.read_text()))
    entry = json.loads(record.read_text()) | {"table_sha256": _files.sha256(csv.read_text())}
    record.write_text(json.dumps(entry))


def test_missing_and_foreign_runs_are_found(made):
    forge(made, lambda text: "\n".join(text.splitlines()[:-2]) + "\n")
    assert recorded.problems(made) == ["the table lacks 2 of 20 runs"]
    forge(
        made,
        lambda text: (
            text + text.splitlines()[-1].replace(",2,", ",7,").replace("batch,3", "batch,9") + "\n"
        ),
    )
    assert "the table has 1 runs that are not in the recipe" in recorded.problems(made)
    forge(made, lambda text: text.replace("\n1,", "\n8,"))
    with pytest.raises(SweepError, match="points that its recipe lacks; run make experiments"):
        recorded.recompute(made.with_suffix(".csv"), [0])
    forge(made, lambda text: text.replace("width,", "breadth,"))
    assert "killed.csv does not fit its .json (KeyError('width'))" in recorded.problems(made)[0]
    record = made.with_suffix(".json")
    record.write_text(record.read_text().replace('"width":', '"breadth":'))
    assert "grid is of ['breadth', 'norm'], the recipe's of" in recorded.problems(made)[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"count"', '{"cuont"'),
        ('("exact"', '("cuont"'),
        ("MAY_FAIL =", 'FREE = ["cuont"]\nMAY_FAIL ='),
    ],
)
def test_settings_that_name_no_column(made, old, new):
    edit(made, old, new)
    assert recorded.problems(made) == [
        "TOLERANCES, EXACT or FREE names 'cuont', which is no column of the table"
    ]


def test_what_nothing_can_judge_is_not_compared(made):
    """And a recipe may say so after its table was made."""
    edit(made, "MAY_FAIL =", 'FREE = ("draw",)\nMAY_FAIL =')
    assert recorded.problems(made) == []
    columns = set(recorded.recompute(made.with_suffix(".csv"), [0])["column"])
    assert columns == {"count", "exact", "odd", "text", "limit"}


@pytest.mark.parametrize("suffix", [".csv", ".json", ".py"])
def test_a_missing_file_is_named(made, suffix):
    made.with_suffix(suffix).unlink()
    with pytest.raises(SweepError, match=rf"killed.*{suffix}"):
        recorded.load(made.with_suffix(".csv"))


def test_a_damaged_record_is_named(made):
    for content in ("{", "{}", "[]"):
        made.with_suffix(".json").write_text(content)
        with pytest.raises(SweepError, match=r"killed.csv or its .json is missing or damaged"):
            recorded.load(made.with_suffix(".csv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GRID = {}\nSEEDS = [0]\n", "killed.py must define run"),
        ("def run(seed): ...\nGRID = {}\n", "killed.py must define SEEDS"),
        ("def run(", "killed.py cannot be read"),
        ("from ._gone import x\n", r"_gone.py cannot be read"),
        ("import _helper\n", "imports _helper, which stands beside it: write from ._helper import"),
        ("from _helper import scaled\n", "write from ._helper import"),
        ("import math\n1 / 0\n", r"killed.py cannot be run \(ZeroDivisionError"),
    ],
)
def test_a_recipe_that_is_none(recipe, text, message):
    recipe.write_text(text)
    with pytest.raises(SweepError, match=message):
        recorded.record(recipe)
    assert not recipe.with_suffix(".csv").exists()


def test_a_recipe_can_be_used_as_a_module(made):
    found = recorded.recipe(made.with_suffix(".csv"))
    assert found is recorded.recipe(made)
    assert found.run(2, 3, "batch")["count"] == 21
    assert found.run(2, 3, "batch")["text"] == "batch"
    assert found.scaled(1.5) == 3.0  # from its helper, and that one's


def test_a_recipe_that_failed_to_load_can_be_mended(recipe):
    recipe.with_name("_deeper.py").write_text("FACTOR = 1 / 0\n")
    with pytest.raises(SweepError, match="ZeroDivisionError"):
        recorded.problems(recipe)
    assert not [
        name
        for name in sys.modules
        if name.startswith("_cnnbook_experiment")
        and "deeper" in name
        and not hasattr(sys.modules[name], "FACTOR")
    ]
    recipe.with_name("_deeper.py").write_text("FACTOR = 1.0\n")
    assert "missing" in recorded.problems(recipe)[0]


def test_a_recipe_changed_while_it_runs_is_noticed(recipe):
    stale = _recipes.read(recipe)
    edit(recipe, "width * 7", "width * 9")
    table = sweep.run(stale, {"width": [1], "norm": ["x"]}, [0])
    assert "killed.py was changed while it ran" in table["error"][0]


def test_recipes_of_one_name_in_two_folders_do_not_mix(recipe, tmp_path):
    other = tmp_path / "other" / "killed.py"
    other.parent.mkdir()
    for file in tmp_path.glob("*.py"):
        (other.parent / file.name).write_text(file.read_text())
    edit(other.with_name("_deeper.py"), "2.0", "4.0")
    first, second = recorded.record(recipe), recorded.record(other)
    assert second["draw"].dropna().tolist() == [2 * x for x in first["draw"].dropna()]


def test_recompute_puts_both_side_by_side(recipe):
    table = recorded.record(recipe)
    csv = recipe.with_suffix(".csv")
    found = recorded.recompute(csv, [0, 2, 3, 11])
    assert list(found.columns) == [
        *("width", "norm", "seed", "row", "column"),
        *("recorded", "recomputed", "low", "high", "inside"),
    ]
    assert found["inside"].all()
    assert found["column"].tolist()[:6] == ["draw", "count", "exact", "odd", "text", "limit"]
    draw = found[(found["column"] == "draw") & (found["seed"] == 2)].iloc[0]
    assert draw["recorded"] == draw["recomputed"] == table["draw"][2]
    band = sweep.bands(table, ["width", "norm"], "draw").iloc[0]
    assert (draw["low"], draw["high"]) == (band["low"], band["high"])
    count = found[found["column"] == "count"].iloc[0]
    assert (count["low"], count["high"]) == (6.5, 7.5)
    failed = found[(found["seed"] == 1) & (found["column"] == "error")].iloc[0]
    assert failed["recorded"] == failed["recomputed"] == "ValueError"
    assert found.loc[found["column"] == "limit", "recomputed"].tolist()[1] == math.inf
    same_again = recorded.recompute(csv, table.index, workers=2)
    assert same_again["inside"].all() and len(same_again) == 18 * 6 + 2


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        ("2.0", "20.0", "draw"),
        ("2.0", "-2.0", "draw"),
        ("2.0", "math.nan", "draw"),
        ("width * 7", "width * 7 + 1", "count"),
        ("math.sqrt(width + seed)", "math.sqrt(width + seed) + 1e-12", "exact"),
        ("seed % 2 == 1", "3", "odd"),
        ("str(norm)", "str(norm) + '!'", "text"),
        ("math.inf if", "-math.inf if", "limit"),
        ('"odd": seed % 2 == 1,', "", "odd"),
        ("width == 3", "width == 1", "error"),
        ("        raise", "        return {}\n        raise", "draw"),
    ],
)
def test_a_changed_result_leaves_its_band(made, old, new, column):
    """As if the library had changed: the recipe's hash is made to fit, the results are others."""
    deeper = made.with_name("_deeper.py")
    edit(deeper if old == "2.0" else made, old, new)
    if old == "2.0":
        deeper.write_text("import math\n\n" + deeper.read_text())
    accept(made)
    found = recorded.recompute(made.with_suffix(".csv"), range(20))
    assert column in set(found.loc[~found["inside"], "column"])


def test_what_another_seed_had_is_inside(made):
    edit(made, "width == 3 and seed == 1", "width == 3 and seed == 0")
    accept(made)
    found = recorded.recompute(made.with_suffix(".csv"), range(10, 15))
    failures = found[found["column"] == "error"]
    assert failures["recorded"].isna().tolist() == [True, False]
    assert failures["recomputed"].isna().tolist() == [False, True]
    assert found.loc[found["column"] != "exact", "inside"].all()


def test_an_empty_text_is_a_missing_one(recipe):
    recipe.write_text(
        "def run(seed):\n    return {'x': 'odd' if seed % 2 else ''}\n\n\n"
        "GRID = {}\nSEEDS = range(4)\n"
    )
    assert recorded.record(recipe)["x"].isna().tolist() == [True, False, True, False]
    again = recorded.recompute(recipe.with_suffix(".csv"), range(4))
    assert again["recomputed"].isna().tolist() == [True, False, True, False]
    assert again["inside"].all()


def accept(recipe):
    """Make the record fit a recipe that was changed, as nobody should."""
    entry = json.loads(recipe.with_suffix(".json").read_text())
    entry["recipe_sha256"] = _recipes.read(recipe).sha256
    recipe.with_suffix(".json").write_text(json.dumps(entry))


def test_recompute_compares_profiles_row_by_row(recipe):
    recipe.write_text(
        "import torch\n\n\ndef run(seed):\n"
        "    rows = range(3 - (seed == 2))\n"
        "    return [{'layer': n, 'x': n + torch.rand(()).item()} for n in rows]\n"
        "\n\nGRID = {}\nSEEDS = range(5)\n"
    )
    table = recorded.record(recipe)
    csv = recipe.with_suffix(".csv")
    found = recorded.recompute(csv, [1, 2, 7])
    assert found["row"].tolist() == [0, 0, 1, 1, 2, 2, 0, 0, 1, 1] and found["inside"].all()
    third = found[(found["row"] == 2) & (found["column"] == "x")].iloc[0]
    values = table.groupby("seed")["x"].nth(2)
    half = (values.max() - values.min()) / 2
    assert (third["low"], third["high"]) == (values.min() - half, values.max() + half)
    assert json.loads(recipe.with_suffix(".json").read_text())["runs"] == 5
    for before, after in ((3, 1), (1, 4)):
        edit(recipe, f"range({before}", f"range({after}")
        accept(recipe)
        line = recorded.recompute(csv, [0]).iloc[0]
        assert line[["column", "recorded", "recomputed", "inside"]].tolist() == [
            *("rows", 3, after, False)
        ]


def test_recompute_refuses_rows_that_are_not_there(made):
    for rows in ([], [0, 99], [-1]):
        with pytest.raises(ValueError, match=r"rows must be labels of rows of killed.csv, got"):
            recorded.recompute(made.with_suffix(".csv"), rows)


def test_a_sample_fits_its_time():
    seconds = [1.0, 2.0, 3.0, 4.0, 0.5]
    table = sweep.run(lambda seed: [{"x": 1}, {"x": 2}], {}, range(5))
    table["seconds"] = np.repeat(seconds, 2)
    samples = {tuple(recorded.sample(table, 5.0, seed)) for seed in range(40)}
    assert len(samples) == 5
    assert all(label % 2 == 0 for chosen in samples for label in chosen)
    assert all(0 < sum(seconds[label // 2] for label in chosen) <= 5 for chosen in samples)
    assert all(chosen == tuple(sorted(chosen)) for chosen in samples)
    assert recorded.sample(table, 5.0, 3) == recorded.sample(table, 5.0, 3)
    assert recorded.sample(table, 100, 0) == [0, 2, 4, 6, 8]
    assert recorded.sample(table, 0.1, 0) == [8]
    table.loc[8:9, "error"] = "TerminatedWorkerError: the process died twice"
    assert recorded.sample(table, 0.1, 0) == [0]
    with pytest.raises(ValueError, match="seconds must be positive, got 0"):
        recorded.sample(table, 0, 0)
    with pytest.raises(ValueError, match="a run that can be repeated"):
        recorded.sample(table[8:], 1, 0)


def test_a_recording_that_is_killed_goes_on(tmp_path, capsys):
    recipe = tmp_path / "slow.py"
    recipe.write_text(
        "import time\n\n\ndef run(seed):\n    time.sleep(0.2)\n    return {'value': seed / 3}\n\n\n"
        "GRID = {}\nSEEDS = range(6)\n"
    )
    log = tmp_path / ".runs" / "slow.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnbook.recorded", recipe], stdout=subprocess.PIPE, text=True
    )
    while not (log.exists() and log.read_bytes().count(b"\n") >= 2):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    assert process.communicate()[0] == f"{recipe}: running\n"
    before = log.read_bytes().splitlines()[:2]
    assert not recipe.with_suffix(".csv").exists()
    assert recorded.main([str(recipe)]) == 0
    assert capsys.readouterr().out == f"{recipe}: running\n{recipe}: recorded 6 rows\n"
    assert log.read_bytes().splitlines()[:2] == before and log.read_bytes().count(b"\n") == 6
    assert recorded.load(recipe.with_suffix(".csv"))["value"].tolist() == [n / 3 for n in range(6)]


# --- the command ----------------------------------------------------------------------------------


def test_the_command_records_what_is_out_of_date(recipe, capsys):
    other = recipe.with_name("broken.py")
    other.write_text("GRID = {}\nSEEDS = [0]\n\n\ndef run(seed):\n    return {'x': 1 / 0}\n")
    assert recorded.main([str(recipe.parent)]) == 1
    out, err = capsys.readouterr()
    assert out == f"{other}: running\n{recipe}: running\n{recipe}: recorded 20 rows\n"
    assert f"{other}: not recorded. {other}: 1 runs failed, the first at seed=0 with Zero" in err
    edit(other, "1 / 0", "1")
    assert recorded.main([str(recipe.parent)]) == 0
    assert f"{recipe}: up to date\n" in capsys.readouterr().out
    assert recorded.main([str(other), "--fresh"]) == 0
    assert f"{other}: recorded 1 rows\n" in capsys.readouterr().out
    assert recorded.main([str(recipe.with_name("gone.py"))]) == 1
    assert "gone.py cannot be read" in capsys.readouterr().err


def test_the_command_says_that_it_was_stopped(recipe, capsys):
    edit(recipe, 'raise ValueError("too wide")', "raise KeyboardInterrupt")
    later = recipe.with_name("later.py")
    later.write_text(recipe.read_text())
    assert recorded.main([str(recipe.parent)]) == 130
    told = capsys.readouterr().err
    assert told.count("stopped after 11 of 20 runs; the same command goes on") == 1
    assert not recipe.with_suffix(".csv").exists()
    assert not [n for n in os.listdir(recipe.parent) if n.endswith(".part")]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    _files.write(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        _files.write(path, b"new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
