"""Writes recorded tables into the scripts that explorables read them from.

    python scripts/explorable_data.py

``extensions/static/explorables/NAME-data.js`` holds what the explorable NAME shows of a recorded
experiment. The same tables give the same bytes; ``tests/test_explorables.py`` compares.
"""

import json
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pandas as pd

from cnnbook import recorded

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "extensions" / "static" / "explorables"


def lives(table: pd.DataFrame) -> list[str]:
    """Return the lives of units in the table ``unit_lives``, a line for each run.

    The lives of a run are its letters unit by unit (layer 1 first), each unit's over all censuses,
    as lengths of equal stretches: "31ad" is 31 times a, then d. Accuracies are in ten thousandths.
    """
    rates = {name: sorted(part["lr"].unique()) for name, part in table.groupby("optimizer")}
    order = list(dict.fromkeys(table["optimizer"]))
    shown = {
        "RATES": {name: rates[name] for name in order},
        "SEEDS": sorted(map(int, table["seed"].unique())),
        "STEPS": sorted(map(int, table["step"].unique())),
        "UNITS": int(table["units"].iloc[0]),
    }
    lines = [f"  {name}: {json.dumps(value)}," for name, value in shown.items()]
    lines.append("  RUNS: {")
    for (optimizer, lr, seed), rows in table.groupby(["optimizer", "lr", "seed"], sort=False):
        layers = [part.sort_values("step") for _, part in rows.groupby("layer")]
        letters = "".join(
            letter
            for part in layers
            for life in zip(*part["status"], strict=True)
            for letter in life
        )
        stretches = ((letter, len(list(same))) for letter, same in groupby(letters))
        short = "".join(f"{n if n > 1 else ''}{letter}" for letter, n in stretches)
        accuracy = [round(10_000 * value) for value in layers[0]["train_accuracy"]]
        entry = json.dumps([accuracy, short], separators=(",", ":"))
        lines.append(f'    "{optimizer} {lr:g} {seed}": {entry},')
    return [*lines, "  },"]


def profile(table: pd.DataFrame) -> list[str]:
    """Return the profiles of the table ``profiles``, a line for each setting and width.

    Numbers are thousandths of a decade: for q, then for g, of each layer the median, the 5th
    percentile below it and the 95th above it.
    """
    names = [name for name in table.columns if name[0] in "qg" and name[1:].isdigit()]
    lines = ["  MEASURED: ["]
    keys = ["activation", "sigma_w2", "sigma_b2", "width"]
    for (name, w, b, width), part in table.groupby(keys, sort=False):
        low, middle, high = (1000 * part[names].quantile([0.05, 0.5, 0.95]).to_numpy()).round()
        triples = zip(middle, middle - low, high - middle, strict=True)
        numbers = " ".join(str(int(n)) for triple in triples for n in triple)
        lines.append(f'    ["{name}", {w:g}, {b:g}, {width}, "{numbers}"],')
    return [*lines, "  ],"]


DATA: dict[str, tuple[str, Callable[[pd.DataFrame], list[str]]]] = {
    "lives": ("unit_lives", lives),
    "profile": ("profiles", profile),
}


def script(name: str) -> str:
    """Return the text of an explorable's data."""
    experiment, lines = DATA[name]
    table = recorded.load(ROOT / "experiments" / f"{experiment}.csv")
    head = f"/* From experiments/{experiment}.csv, by scripts/explorable_data.py. */\n"
    return f"{head}Explorables.data.{name} = {{\n" + "\n".join(lines(table)) + "\n};\n"


def main() -> None:
    """Write all of them."""
    for name in DATA:
        (SCRIPTS / f"{name}-data.js").write_text(script(name), encoding="utf-8")


if __name__ == "__main__":
    main()
