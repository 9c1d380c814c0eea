"""Claims A1 to A12 of article A and E1 to E6 of article E on trial, one function a claim."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from cnnbook import recorded
from cnnbook.verdicts import Trial, both, seeds_to_decide, tried

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
CHANCE = 0.1  # accuracy of a run that diverged; all of its units count as dead
STARTS = ("Xavier", "small random weights", "asymmetric weights", "bias 0.1")
REGULARISERS = ("L1", "L2", "dropout")


# --- evidence -------------------------------------------------------------------------------------


@cache
def table(name: str) -> pd.DataFrame:
    """Return a recorded table, in the order of its seeds."""
    return recorded.load(EXPERIMENTS / f"{name}.csv").sort_values("seed", kind="stable")


def found(claim: str, setting: str) -> np.ndarray:
    """Return one number a seed from the table ``claims_dead``."""
    rows = table("claims_dead")
    rows = rows[(rows["claim"] == claim) & (rows["setting"] == setting)]
    return rows["effect"].to_numpy()


def remedy(cause: str, name: str, column: str) -> np.ndarray:
    """Return "dead" or "test_accuracy" of the table ``remedies``, lost runs counted as lost."""
    rows = table("remedies")
    rows = rows[(rows["cause"] == cause) & (rows["remedy"] == name)]
    return rows[column].fillna(1.0 if column == "dead" else CHANCE).to_numpy()


def spared(cause: str, name: str) -> np.ndarray:
    """Return the share of dead units without a remedy less that with it."""
    return remedy(cause, "none", "dead") - remedy(cause, name, "dead")


def activation(depth: int, name: str, start: str, column: str, best: str = "fitted") -> np.ndarray:
    """Return a column of the table ``activations``, at the rate that is best on average."""
    rows = table("activations")
    kind = (rows["depth"] == depth) & (rows["activation"] == name) & (rows["start"] == start)
    means = rows[kind].groupby("lr")[best].mean()
    rate = means.idxmin() if best == "steps" else means.idxmax()
    return rows[kind & (rows["lr"] == rate)][column].to_numpy()


def weaker(*effects: np.ndarray) -> np.ndarray:
    """Return the effect with the smallest mean: against the best of several rivals."""
    return min(effects, key=np.mean)


def alone(cause: str) -> tuple[str, np.ndarray]:
    """Return the best start or regulariser, and its accuracy less that of the best remedy."""
    names = table("remedies").loc[table("remedies")["cause"] == cause, "remedy"].unique()
    means = {name: remedy(cause, name, "test_accuracy").mean() for name in names}
    one, best = max(STARTS + REGULARISERS, key=means.get), max(means, key=means.get)
    return one, remedy(cause, one, "test_accuracy") - remedy(cause, best, "test_accuracy")


def cured_by_start() -> np.ndarray:
    """Return the accuracy of He's weights under a bias of −1 less the best of table ``killed``."""
    rows = table("killed").groupby(["optimizer", "lr", "init", "bias"])["test_accuracy"]
    best = rows.get_group(rows.mean().idxmax())
    return rows.get_group(("SGD", 0.1, "he", -1.0)).to_numpy() - best.to_numpy()


# --- article A ------------------------------------------------------------------------------------


def a1() -> Trial:
    """Article A: steps to six tenths right, in five layers, each at its fastest rate."""

    def saved(name: str, start: str) -> np.ndarray:
        steps = [activation(5, phi, start, "steps", "steps") for phi in (name, "relu")]
        return steps[0] - steps[1]

    effects = {
        "against sigmoid, PyTorch's start": saved("sigmoid", "PyTorch"),
        "against sigmoid, He's start": saved("sigmoid", "He"),
        "against tanh, PyTorch's start": saved("tanh", "PyTorch"),
        "against tanh, He's start": saved("tanh", "He"),
    }
    rule = "training steps to 0.6 right, the other's less ReLU's, over 0"
    return tried("A1", "ReLU speeds up training.", rule, effects)


def a2() -> Trial:
    """Article A: units buried under their bias, in a network that trains by plain SGD."""
    gradient = {"has no gradient, either layer": found("A2", "no gradient, just below zero")}
    stays = {
        f"stays dead, {name}": found("A2", f"dead after training, {key}")
        for name, key in (
            ("first layer", "first layer, just below zero"),
            ("second layer, just below zero", "second layer, just below zero"),
            ("second layer, deep below", "second layer, three below zero"),
        )
    }
    claim = "A unit whose input is always negative has zero gradient and stops learning."
    first = tried("A2", claim, "share without a gradient, over 0.9", gradient, least=0.9)
    second = tried("A2", claim, "share dead after training, over 0.9", stays, least=0.9)
    return both("A2", claim, first, second)


SHARES = {
    "half of 100 units a layer": "half of 100",
    "95 of 100 units a layer": "95 of 100",
    "half of 8 units a layer": "half of 8",
    "half of 16 channels a layer": "half of 16 channels",
}


def a3() -> Trial:
    """Article A: units buried for good before a training at a healthy rate."""
    effects = {name: found("A3", f"accuracy lost, {key}") for name, key in SHARES.items()}
    rule = "test accuracy with none dead less that with the dead, over 0.01"
    return tried("A3", "Dead units lower accuracy.", rule, effects, least=0.01)


def a4() -> Trial:
    """Article A: the same networks, and two that fit their images equally well."""
    names = [name for name in SHARES if "of 8" not in name]
    effects = {name: found("A3", f"gap gained, {SHARES[name]}") for name in names}
    equal = found("A3", "gap gained, half of 100, equally fitted")
    effects["half of 100, trained to an equal loss"] = equal
    rule = "training less test accuracy, with the dead less with none dead, over 0.01"
    return tried("A4", "Dead units cause overfitting.", rule, effects, least=0.01)


def a5() -> Trial:
    """Article A: what is dead before the first step, without randomness and with it."""
    names = (
        *("against zero weights", "against equal negative weights"),
        *("against equal positive weights", "narrow and deep, against positive weights"),
    )
    claim = "Random initialisation prevents dead units."
    rule = "share born dead from the other start less that from He's, over 0.01"
    return tried("A5", claim, rule, {name: found("A5", name) for name in names}, least=0.01)


def a6() -> Trial:
    """Article A: penalties where a rate kills."""
    names = ("L1, Adam", "L1, momentum", "L2, Adam", "L2, Adam, batch norm")
    claim = "L1 and L2 regularisation reduce dead units."
    rule = "share of units dead without the penalty less that with it, over 0.01"
    return tried("A6", claim, rule, {name: found("A6", name) for name in names}, least=0.01)


def _slope(id: str, label: str, name: str) -> Trial:
    """Judge a slope below zero as a remedy."""
    effects = {
        "born dead": spared("born dead", label),
        "buried under a bias of −5, Adam": found("A7", f"{name}, Adam"),
        "killed by the learning rate": spared("learning rate", label),
        "killed by an input shift": spared("input shift", label),
    }
    rule = "share of units dead or lost to a NaN with ReLU less that with it, over 0.01"
    return tried(id, f"{label} prevents dead units.", rule, effects, least=0.01)


def a7() -> Trial:
    """Article A: slope 0.01, against four ways to die."""
    return _slope("A7", "Leaky ReLU", "leaky_relu")


def a8() -> Trial:
    """Article A: a learned slope, against four ways to die."""
    return _slope("A8", "PReLU", "prelu")


def a9() -> Trial:
    """Article A: clipping by norm, against three causes, and against Adam's steps."""
    rows = table("training_deaths").set_index("setting")["dead"]
    effects = {
        "killed by the learning rate, momentum": spared("learning rate", "clipping"),
        "killed by an input shift, SGD": spared("input shift", "clipping"),
        "killed by the learning rate, Adam": (
            rows["Adam 0.03"].to_numpy() - rows["Adam 0.03 + clipping"].to_numpy()
        ),
        "born dead": spared("born dead", "clipping"),
    }
    rule = "share of units dead without clipping less that with it, over 0.01"
    return tried("A9", "Gradient clipping reduces dead units.", rule, effects, least=0.01)


def a10() -> Trial:
    """Article A: does the mean of ReLU′ order networks, or layers, as their dead units do?"""
    names = (
        *("dense networks, by rate", "convolutional networks, by rate"),
        *("layers of one network", "layers built by hand"),
    )
    claim = "The mean gradient through ReLU measures how bad the death is."
    rule = "rank correlation of one less the mean of ReLU′ with the share of dead units, over 0.5"
    return tried("A10", claim, rule, {name: found("A10", name) for name in names}, least=0.5)


def a11() -> Trial:
    """Article A: the best start or regulariser alone, beside the best remedy of any kind."""
    causes = ("born dead", "learning rate", "input shift")
    effects = {f"{cause}: {alone(cause)[0]}": alone(cause)[1] for cause in causes}
    effects["a bias of −1 with PyTorch's start: He's weights"] = cured_by_start()
    claim = "Initialisation or regularisation alone may be enough."
    rule = "test accuracy with the best of them less that with the best of all, over −0.05"
    return tried("A11", claim, rule, effects, least=-0.05, possible=True)


HEADS = {"flattened": "flatten", "global average": "global"}


def pooled(what: str, head: str) -> np.ndarray:
    """Return the share of parameters or the accuracy that pools bring before a head."""
    return found("A12", f"{what}, {HEADS[head]}")


def a12() -> Trial:
    """Article A: two convolutions with and without pools, 500 images, fitted equally well."""
    claim = "Pooling reduces the parameters and improves generalisation."
    rules = {
        "parameters": "share of the parameters saved, over 0.01",
        "accuracy": "test accuracy gained at equal fit, over 0.01",
    }
    halves = [
        tried(
            "A12",
            claim,
            rule,
            {f"{what}, {head}": pooled(what, head) for head in HEADS},
            least=0.01,
        )
        for what, rule in rules.items()
    ]
    return both("A12", claim, *halves)


# --- article E ------------------------------------------------------------------------------------


def e1() -> Trial:
    """Article E: loss on other images, when 300 images are fitted equally well."""
    effects = {
        f"{kind}, against {label}": found("E1", f"{kind}, against {name}")
        for kind, label, name in (
            *(("dense", "sigmoid", "sigmoid"), ("dense", "tanh", "tanh")),
            *(("convolutional", "tanh", "tanh"), ("dense", "no activation", "identity")),
        )
    }
    rule = "loss on other images at equal training loss, the other's less ReLU's, over 0"
    return tried("E1", "ReLU reduces overfitting.", rule, effects)


def e2() -> Trial:
    """Article E: the best fit of 16 hidden units, by L-BFGS."""
    names = (
        *("against no activation, smooth wave", "against ReLU, smooth wave"),
        *("against ReLU, random labels", "against ReLU, zigzag"),
    )
    claim = "Sigmoid and tanh increase expressive power."
    rule = "decades by which the error of the best fit exceeds tanh's, over 0.1"
    return tried("E2", claim, rule, {name: found("E2", name) for name in names}, least=0.1)


def e3() -> Trial:
    """Article E: where units without a derivative lie, and where ReLU has none."""
    names = (
        *("killed by the rate", "buried by the bias", "born dead"),
        "the derivative above zero",
    )
    claim = "ReLU dies because its output saturates above zero."
    rule = "share of units, or of positive inputs, with a derivative of zero above zero, over 0.01"
    return tried("E3", claim, rule, {name: found("E3", name) for name in names}, least=0.01)


def e4() -> Trial:
    """Article E: test accuracy, in a convolutional network, in a dense one, and where units die."""

    def gained(name: str) -> np.ndarray:
        return activation(5, name, "PyTorch", "accuracy")

    lost = [remedy("learning rate", name, "test_accuracy") for name in ("none", "PReLU")]
    born = [remedy("born dead", name, "test_accuracy") for name in ("none", "PReLU")]
    deep = [activation(20, name, "He", "accuracy") for name in ("relu", "prelu")]
    effects = {
        "Leaky ReLU, convolutional": found("E4", "convolutional, leaky_relu"),
        "PReLU, convolutional": found("E4", "convolutional, prelu"),
        "Leaky ReLU, five dense layers": gained("leaky_relu") - gained("relu"),
        "PReLU, five dense layers": gained("prelu") - gained("relu"),
        "PReLU, 20 dense layers, He's start": deep[1] - deep[0],
        "PReLU, where ReLU is born dead": born[1] - born[0],
        "PReLU, at a rate that kills": lost[1] - lost[0],
    }
    rule = "test accuracy less ReLU's, a run lost to a NaN at chance; over 0.01"
    return tried("E4", "Leaky ReLU and PReLU improve accuracy.", rule, effects, least=0.01)


def e5() -> Trial:
    """Article E: how far the gradient falls in twenty layers, before training."""

    def kept(name: str, start: str, rival: str, their: str) -> np.ndarray:
        return activation(20, name, start, "fall") - activation(20, rival, their, "fall")

    effects = {
        "ReLU against sigmoid, PyTorch's start": kept("relu", "PyTorch", "sigmoid", "PyTorch"),
        "ReLU against sigmoid, each at its best start": kept("relu", "He", "sigmoid", "own"),
        "ReLU against tanh, PyTorch's start": kept("relu", "PyTorch", "tanh", "PyTorch"),
        "PReLU against tanh, PyTorch's start": kept("prelu", "PyTorch", "tanh", "PyTorch"),
    }
    claim = "ReLU, Leaky ReLU and PReLU reduce the vanishing of sigmoid and tanh."
    rule = "decades of the gradient's mean square lost in 20 layers, theirs less its own, over 0.1"
    return tried("E5", claim, rule, effects, least=0.1)


def e6() -> Trial:
    """Article E: both places against none, against one, and the last layer as well."""

    def both_places(name: str, count: int) -> np.ndarray:
        return weaker(*(found("E6", f"{name}, {count}, {place}") for place in ("conv", "dense")))

    effects = {
        "ReLU in both places, against nowhere": found("E6", "relu, 1, none"),
        "ReLU in both, against the dense layer alone": found("E6", "relu, 1, dense"),
        "ReLU in both, against the convolution alone": found("E6", "relu, 1, conv"),
        "three convolutions, ReLU in both, against the better place": both_places("relu", 3),
        "sigmoid in both, against the better place": both_places("sigmoid", 1),
        "ReLU after the last layer too, against both": found("E6", "relu, 1, conv+dense+last"),
    }
    claim = "The activation belongs after convolutional and after dense layers alike."
    rule = "test accuracy gained by the place or places added, over 0.01"
    return tried("E6", claim, rule, effects, least=0.01)


TRIALS = (a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, e1, e2, e3, e4, e5, e6)
SECTIONS = {
    "A1": "../remedies/activation.ipynb",
    "A2": "../dead_relu/definition.ipynb",
    "A3": "../dead_relu/killed.ipynb",
    "A4": "../dead_relu/killed.ipynb",
    "A5": "../dead_relu/born.ipynb",
    "A6": "../dead_relu/remedies.ipynb",
    "A7": "../dead_relu/remedies.ipynb",
    "A8": "../dead_relu/remedies.ipynb",
    "A9": "../remedies/clipping.ipynb",
    "A10": "../dead_relu/definition.ipynb",
    "A11": "../dead_relu/remedies.ipynb",
    "A12": "../pooling/pooling.ipynb",
    "E1": "../networks/training.ipynb",
    "E2": "../activations/functions.ipynb",
    "E3": "../activations/functions.ipynb",
    "E4": "../remedies/activation.ipynb",
    "E5": "../remedies/activation.ipynb",
    "E6": "../activations/functions.ipynb",
}
_FLAT, _GLOBAL = (seeds_to_decide(pooled("accuracy", head), 0.01) for head in HEADS)
DECIDES = {
    "A12": f"about {_GLOBAL:.1f} times as many seeds behind a global average; in front of a "
    f"flattened layer the gain is one point to within its spread, and even {round(_FLAT, -2):.0f} "
    "times as many might not do.",
}
