"""The claims on depth, one trial each: articles B, C and D, in the order of their claims.

Evidence is the recorded table ``claims_depth``, unless the function says otherwise.
"""

import itertools
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cnnbook import recorded
from cnnbook.activations import ACTIVATIONS
from cnnbook.verdicts import Trial, both, seeds_to_decide, tried

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
Effects = dict[str, np.ndarray]


@cache
def table(name: str) -> pd.DataFrame:
    """Return a recorded table."""
    return recorded.load(EXPERIMENTS / f"{name}.csv")


def effects(claim: str) -> Effects:
    """Return a claim's effects in the table ``claims_depth``: setting, then one number a seed."""
    rows = table("claims_depth").query("claim == @claim").groupby("setting", sort=False)
    return {
        name.replace("relu", "ReLU"): part.sort_values("seed")["effect"].to_numpy()
        for name, part in rows
    }


def drops(name: str, column: str, before: str, after: str) -> np.ndarray:
    """Return how far dead units fall from one cell to another, for seeds that did not diverge."""
    cells = table(name).pivot(index="seed", columns=column, values="dead")
    return (cells[before] - cells[after]).dropna().to_numpy()


def cured(cause: str, remedy: str) -> np.ndarray:
    """Return the share of dead units that a remedy takes away, in the table ``remedies``."""
    cells = table("remedies").query("cause == @cause").pivot(index="seed", columns="remedy")["dead"]
    return (cells["none"] - cells[remedy]).dropna().to_numpy()


def b1() -> Trial:
    """Article B, and C and D likewise: networks of 11 and 21 layers, before training."""
    rule = "decades of RMS ∂L/∂z that ten more layers take from the first; over 0.5"
    return tried("B1", "Vanishing gets worse with depth.", rule, effects("B1"), least=0.5)


def b2() -> Trial:
    """Article B: 200 steps of SGD."""
    rule = "decades that training adds to what is lost between last and first layer; over 0.1"
    claim = "Gradients tend to zero as training goes on."
    return tried("B2", claim, rule, effects("B2"), least=0.1)


def b3() -> Trial:
    """Article B: all hidden weights of a 10-layer network halved."""
    rule = "decades that halving the hidden weights takes from the first layer's ∂L/∂W; over 0.1"
    claim = "Small initial weights make gradients small."
    return tried("B3", claim, rule, effects("B3"), least=0.1)


def b4() -> Trial:
    """Articles B and D: the table ``activations``, 20 layers, against ReLU from the same start."""
    rows = (
        table("activations").query("depth == 20").drop_duplicates(["activation", "start", "seed"])
    )
    fall = rows.pivot(index="seed", columns=["activation", "start"], values="fall") / 2
    found = {
        f"{name}, {start}'s start": (fall["relu", start] - fall[name, start]).to_numpy()
        for name in ("sigmoid", "tanh")
        for start in ("He", "PyTorch")
    }
    rule = "decades of RMS ∂L/∂z lost over 19 layers, more than ReLU from the same start; over 0.5"
    return tried("B4", "Saturating activations cause vanishing.", rule, found, least=0.5)


def b5() -> Trial:
    """Articles B and D: 20 hidden layers before training."""
    rule = "decades of RMS ∂L/∂z gained from the last of 20 hidden layers to the first; over −0.5"
    claim = "ReLU's gradient is 1 or 0, so it does not vanish."
    return tried("B5", claim, rule, effects("B5"), least=-0.5)


def b6() -> Trial:
    """Article B: 8 layers, all weights clipped to ±0.1."""
    rule = "decades less lost between last and first layer with clipped weights; over 0"
    return tried("B6", "Weight clipping avoids vanishing.", rule, effects("B6"))


def b7() -> Trial:
    """Article B: 200 steps, the rate constant or falling linearly to a hundredth."""
    rule = "decades less lost after training under decay than at a constant rate; over 0.1"
    claim = "Learning-rate decay helps against vanishing."
    return tried("B7", claim, rule, effects("B7"), least=0.1)


def b8() -> Trial:
    """Article B: 20 hidden layers before training."""
    rule = "decades by which batch norm brings first and last of 20 layers nearer; over 0.1"
    claim = "Batch norm improves the flow of gradients."
    return tried("B8", claim, rule, effects("B8"), least=0.1)


def b9() -> Trial:
    """Article B: 22 layers of ReLU before training, with skips over two and without."""
    rule = "decades by which skips bring first and last of 22 layers nearer to equal; over 0.1"
    claim = "Residual connections improve the flow of gradients."
    return tried("B9", claim, rule, effects("B9"), least=0.1)


def b10() -> Trial:
    """Article B: 3 × 3 convolutions of 16 channels and dense layers of 144 units, He's start."""
    rule = "decades that 20 convolutions lose more than dense layers of equal fan_in; over 0.25"
    claim = "Vanishing is especially prominent in CNNs."
    return tried("B10", claim, rule, effects("B10"), least=0.25)


def c1() -> Trial:
    """Article C: ill starts in ``claims_depth``; clipping in the table ``remedies``."""
    found = effects("C1")
    found["a learning rate too high, gradients clipped"] = cured("learning rate", "clipping")
    found["born dead, gradients clipped"] = cured("born dead", "clipping")
    rule = "share of units that are dead after training but not with a mended gradient; over 0.01"
    claim = "Dead neurons come from vanishing or exploding gradients."
    return tried("C1", claim, rule, found, least=0.01)


def c2() -> Trial:
    """Article C: its own network on 2,000 Fashion images, 200 steps of Adam."""
    rule = "share of stuck units, saturated or dead, less that of the ReLU network; over 0.01"
    claim = "Replacing sigmoid or tanh by ReLU cures dead neurons."
    return tried("C2", claim, rule, effects("C2"), least=0.01)


def normed() -> Effects:
    """Return the accuracy that batch norm adds: ``article_networks``, then ``claims_depth``."""
    runs = table("article_networks").query("epochs == 10 and network in ['B-net', 'D-net']")
    cells = runs.pivot(index="seed", columns=["network", "epoch"])
    found = {}
    for name, column, epoch in (
        ("B-net: first epoch, in training", "train_accuracy", 1),
        ("B-net: tenth epoch, test", "test_accuracy", 10),
    ):
        found[name] = (cells[column]["D-net", epoch] - cells[column]["B-net", epoch]).to_numpy()
    every = effects("C3")
    for name in ("3 layers, batches of 2: in training", "50 layers, batches of 64: test"):
        found[name] = every[name]
    return found


def c3() -> Trial:
    """Article C: batch norm where its author would put it, and where batches or depth forbid it."""
    claim = "Batch norm speeds up training and improves generalisation."
    every = normed()
    halves = [
        tried(
            "C3",
            claim,
            f"{kind} accuracy with batch norm less that without; over 0.01",
            {name: part for name, part in every.items() if key in name},
            least=0.01,
        )
        for key, kind in (("in training", "training"), ("test", "test"))
    ]
    return both("C3", claim, *halves)


def c4() -> Trial:
    """Article C: its own network and Adam; the tables ``remedies`` and ``training_deaths``."""
    found = effects("C4")
    found["born dead"] = cured("born dead", "dropout")
    found["SGD at 0.3"] = drops("training_deaths", "setting", "SGD 0.3", "SGD 0.3 + dropout")
    found["input shift"] = cured("input shift", "dropout")
    found["Adam at 0.03"] = drops("training_deaths", "setting", "Adam 0.03", "Adam 0.03 + dropout")
    rule = "share of units dead after training without dropout less that with it, over 0.01"
    return tried("C4", "Dropout cures dead neurons.", rule, found, least=0.01)


def c5() -> Trial:
    """Article C: Xavier's variance in both forms, ten hidden layers of 256."""
    rule = (
        "decades of RMS ∂L/∂z by which ten layers are nearer to level with the form that it names "
        "than with the other; over 0.1"
    )
    claim = "Xavier's start is uniform for ReLU and normal for sigmoid and tanh."
    return tried("C5", claim, rule, effects("C5"), least=0.1)


def c6() -> Trial:
    """Article C: ten hidden layers whose weights have the variance 2."""
    rule = "decades a layer by which the gradient changes, with a minus sign; over −0.05"
    claim = "He's start is likewise, with a variance of 2."
    return tried("C6", claim, rule, effects("C6"), least=-0.05)


def c7() -> Trial:
    """Article C: its network, data and loss; then the loss mended; then images."""
    every = effects("C7")
    names = ("as the article trains it", "loss mended", "noise centred")
    names = (*names, "Fashion images, standardised")
    rule = "share of hidden units that are dead on all training data at the end; over 0.01"
    claim = "Dead neurons can be observed in C-net."
    return tried("C7", claim, rule, {n: every[n] for n in names}, least=0.01, possible=True)


def c8() -> Trial:
    """Article C: the table ``activations``, each cell at its best rate."""
    cells = table("activations").pivot_table(
        index=["depth", "start", "activation", "lr"], columns="seed", values="accuracy"
    )
    best = cells.loc[cells.mean(axis=1).groupby(level=[0, 1, 2]).idxmax()].droplevel("lr")
    own = [(d, "He", name) for d in (5, 20) for name in ("relu", "leaky_relu")]
    same = best.loc[own].rename(index={"He": "own"}, level="start")
    groups = pd.concat([best, same]).groupby(level=["depth", "start"])
    spread = groups.std()
    names = {"He's start": "He", "each one's own start": "own", "PyTorch's start": "PyTorch"}
    found = {
        name: (spread.loc[20, start] - spread.loc[5, start]).to_numpy()
        for name, start in names.items()
    }
    rule = "standard deviation of accuracy over eight activations, 20 layers less 5; over 0.01"
    claim = "Deeper nets make the choice of activation matter more."
    return tried("C8", claim, rule, found, least=0.01)


def d1() -> Trial:
    """Article D: a tanh network of six layers, in double precision."""
    rule = "decimal digits to which the product gives a tanh network's first gradient; over 6"
    claim = "The gradient of a deep net is a product over its layers."
    return tried("D1", claim, rule, effects("D1"), least=6)


def d2() -> Trial:
    """Article D: sigmoid and tanh made to saturate in four ways."""
    rule = "decades a layer lost more by the saturated network than by its like; over 0.1"
    claim = "Saturation makes the gradient vanish extremely fast."
    return tried("D2", claim, rule, effects("D2"), least=0.1)


def d3() -> Trial:
    """Article D: hidden weights twice as large as at He's start."""
    rule = (
        "decades that the gradient grows from the last of ten hidden layers to the first; over 0.5"
    )
    claim = "Large weights make the gradient explode."
    return tried("D3", claim, rule, effects("D3"), least=0.5)


def d4() -> Trial:
    """Article D: constant biases before training; a learning rate of 1."""
    claim = "Bad biases or learning rates cause both vanishing and explosion."
    every = effects("D4")
    halves = [
        tried(
            "D4",
            claim,
            f"decades of {kind}, over 1",
            {name: part for name, part in every.items() if kind in name},
            least=1,
        )
        for kind in ("vanishing", "explosion")
    ]
    return both("D4", claim, *halves)


def d5() -> Trial:
    """Article D: 20 hidden layers of ReLU before training."""
    rule = "decades by which batch norm brings first and last of 20 layers nearer; over 0.1"
    claim = "Batch norm gives layers constant mean and variance, and so stabilises gradients."
    return tried("D5", claim, rule, effects("D5"), least=0.1)


def d6() -> Trial:
    """Article D: derivatives, the same number five times."""
    found = {}
    for name in ("leaky_relu", "elu"):
        for z in (-1.0, -10.0):
            slope = ACTIVATIONS[name].derivative(torch.tensor(z, dtype=torch.double)).item()
            found[f"{ACTIVATIONS[name].label} at {z:g}"] = np.full(5, slope)
    rule = "derivative at a negative z; over 0.001, a tenth of Leaky ReLU's"
    claim = "Leaky ReLU and ELU keep a small gradient on the negative side."
    return tried("D6", claim, rule, found, least=0.001)


def d7() -> Trial:
    """Article D: what C3 measures, with the sign changed."""
    found = {name: -part for name, part in normed().items()}
    claim = "Batch norm can slow convergence or hurt generalisation."
    rule = "accuracy without batch norm less that with it; over 0.01"
    return tried("D7", claim, rule, found, least=0.01, possible=True)


def window(accuracy: np.ndarray, best: float) -> float:
    """Return how many decades of rates, a third of one apart, lie within 0.02 of ``best``."""
    bar, last = best - 0.02, len(accuracy) - 1
    if accuracy.max() < bar:
        return 0.0
    first = end = int(accuracy.argmax())
    while first > 0 and accuracy[first - 1] >= bar:
        first -= 1
    while end < last and accuracy[end + 1] >= bar:
        end += 1
    low, high = float(first), float(end)
    if first > 0:
        low -= (accuracy[first] - bar) / (accuracy[first] - accuracy[first - 1])
    if end < last:
        high += (accuracy[end] - bar) / (accuracy[end] - accuracy[end + 1])
    return (high - low) / 3


def widened(common: bool = False) -> Effects:
    """Return how many decades more of rates are usable than under SGD at a constant rate.

    Args:
        common: Whether usable means within 0.02 of that SGD's best accuracy, and not of one's own.
    """
    cells = table("optimizers").pivot(
        index=["optimizer", "schedule", "seed"], columns="offset", values="accuracy"
    )
    own = cells.max(axis=1).unstack("seed")
    best = own.loc["SGD", "constant"]
    widths = own.copy()
    for rule, seed in itertools.product(own.index, own.columns):
        accuracy = cells.loc[(*rule, seed)].to_numpy()
        widths.loc[rule, seed] = window(accuracy, best[seed] if common else accuracy.max())
    plain = widths.loc["SGD", "constant"].to_numpy()
    return {
        f"{optimizer}, {schedule}": widths.loc[(optimizer, schedule)].to_numpy() - plain
        for optimizer, schedule in (
            *(("SGD", "linear"), ("SGD", "exponential")),
            *(("Adam", "constant"), ("Adagrad", "constant")),
        )
    }


def d8() -> Trial:
    """Article D: the table ``optimizers``, thirteen rates over four decades."""
    rule = "decades of usable rates, within 0.02 of the best, more than constant SGD's; over 1"
    claim = "Linear or exponential decay, Adam or Adagrad settle the initial learning rate."
    return tried("D8", claim, rule, widened(), least=1)


TRIALS = (
    *(b1, b2, b3, b4, b5, b6, b7, b8, b9, b10),
    *(c1, c2, c3, c4, c5, c6, c7, c8),
    *(d1, d2, d3, d4, d5, d6, d7, d8),
)
SECTIONS = {
    "B1": "../vanishing/depth.ipynb",
    "B2": "../vanishing/suspects.ipynb",
    "B3": "../vanishing/suspects.ipynb",
    "B4": "../remedies/activation.ipynb",
    "B5": "../vanishing/suspects.ipynb",
    "B6": "../remedies/weights.ipynb",
    "B7": "../remedies/optimizers.ipynb",
    "B8": "../exploding/batch-norm.ipynb",
    "B9": "../remedies/residual.ipynb",
    "B10": "../vanishing/suspects.ipynb",
    "C1": "../dead_relu/killed.ipynb",
    "C2": "../remedies/activation.ipynb",
    "C3": "../remedies/normalization.ipynb",
    "C4": "../remedies/dropout.ipynb",
    "C5": "../remedies/initialization.ipynb",
    "C6": "../remedies/initialization.ipynb",
    "C7": "../networks/articles.ipynb",
    "C8": "../remedies/activation.ipynb",
    "D1": "../vanishing/depth.ipynb",
    "D2": "../vanishing/depth.ipynb",
    "D3": "../exploding/phases.ipynb",
    "D4": "../vanishing/suspects.ipynb",
    "D5": "../exploding/batch-norm.ipynb",
    "D6": "../activations/functions.ipynb",
    "D7": "../remedies/normalization.ipynb",
    "D8": "../remedies/optimizers.ipynb",
}
_TIMES = {
    "shift": seeds_to_decide(cured("input shift", "dropout"), 0.01),
    "Adam": seeds_to_decide(
        drops("training_deaths", "setting", "Adam 0.03", "Adam 0.03 + dropout"), 0.01
    ),
    "C3": seeds_to_decide(normed()["B-net: tenth epoch, test"], 0.01),
    "B7": seeds_to_decide(effects("B7")["8 tanh layers, SGD at a rate of 1"], 0.1),
}
DECIDES = {
    "C3": f"about {_TIMES['C3']:.0f} times as many seeds of article B's network: its gain on the "
    "test set after ten epochs is about the threshold itself.",
    "C4": f"about {_TIMES['shift']:.0f} times as many seeds under the input shift, and "
    f"{_TIMES['Adam']:.0f} times as many under Adam at 0.03.",
    "B7": f"about {_TIMES['B7']:.0f} times as many tanh networks at the rate of one, where the "
    "mean effect is above the threshold and the interval of ten seeds is not.",
}
