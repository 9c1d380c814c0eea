"""What each explorable must compute, said by the library: settings to draw, numbers to expect.

Each is the twin of functions of ``cnnbook``. ``tests/test_explorables.py`` puts the settings on the
page, and compares.
"""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from cnnbook import geometry, ops, recorded, theory
from cnnbook.activations import ACTIVATIONS, gaussian_mean
from test_book import ROOT

State = dict[str, Any]


class Twin(NamedTuple):
    """What an explorable must agree with.

    Attributes:
        draw: From a random generator to settings.
        expect: From the settings, as the page has them, to its numbers.
        few: How many settings, where the library is slow.
    """

    draw: Callable[[random.Random], State]
    expect: Callable[[State], dict[str, Any]]
    few: int = 40


# The window of a convolution ----------------------------------------------------------------------


def convolved(state: State) -> dict[str, Any]:
    x = torch.tensor(state["image"], dtype=torch.float64).reshape(1, 1, 8, 8)
    weight = torch.tensor(state["kernel"], dtype=torch.float64).reshape(1, 1, 3, 3)
    how = {key: state[key] for key in ("stride", "padding", "dilation")}
    z = ops.conv2d(x, weight, **how)[0, 0]
    return {"side": len(z), "output": z.numpy()}


def draw_window(draw: random.Random) -> State:
    return {
        "image": [draw.randint(0, 1) for _ in range(64)],
        "kernel": [round(draw.uniform(-2, 2), 3) for _ in range(9)],
        "stride": draw.randint(1, 3),
        "padding": draw.randint(0, 3),
        "dilation": draw.randint(1, 3),
        "row": draw.randint(0, 9),
        "column": draw.randint(0, 9),
    }


# A stack and what its units see -------------------------------------------------------------------


def draw_stack(draw: random.Random) -> State:
    state: State = {
        "image": draw.randint(4, 64),
        "count": draw.randint(1, 6),
        "layer": draw.randint(1, 6),
        "row": draw.randint(0, 80),
        "column": draw.randint(0, 80),
    }
    mild = draw.random() < 0.6  # over the whole range few stacks fit
    for n in range(1, 7):
        state[f"kind{n}"] = draw.choice(["conv", "pool"])
        state[f"kernel{n}"] = draw.randint(1, 3 if mild else 7)
        state[f"stride{n}"] = draw.randint(1, 2 if mild else 4)
        state[f"padding{n}"] = draw.randint(0, 3 if mild else 8)
        state[f"dilation{n}"] = draw.randint(1, 3 if mild else 8)
        state[f"channels{n}"] = draw.choice([1, 8, 16, 32, 64, 128, 256, 512])
    return state


def ones(windows: list[tuple[int, int, int, int]], axes: int) -> nn.Sequential:
    """The same windows with weights one, along both axes or along the first only."""
    net = nn.Sequential()
    for k, s, p, d in windows:
        shape = ((k, 1), (s, 1), (p, 0), (d, 1)) if axes == 1 else (k, s, p, d)
        net.append(nn.Conv2d(1, 1, *shape, bias=False).double())
        nn.init.ones_(net[-1].weight)
    return net


def stacked(state: State) -> dict[str, Any]:
    image, chosen = state["image"], state["layer"] - 1
    sizes, parameters, windows, net, channels = [image], [], [], nn.Sequential(), 1
    for n in range(1, state["count"] + 1):
        keys = ("kernel", "stride", "padding", "dilation")
        window = tuple(state[f"{key}{n}"] for key in keys)
        try:
            sizes.append(geometry.conv_output_size(sizes[-1], *window))
        except ValueError:
            break
        if state[f"kind{n}"] == "conv":
            net.append(nn.Conv2d(channels, state[f"channels{n}"], *window))
            channels = state[f"channels{n}"]
        else:
            net.append(nn.MaxPool2d(*window))
        parameters.append(geometry.parameter_count(net[-1]))
        windows.append(window)
    table = geometry.receptive_field(net) if len(net) else None
    fields = [] if table is None else table.field_h.astype(int).tolist()
    # On an image that is one field large, unpadded: how many of its pixels one unit reads.
    taps = []
    for n, field in enumerate(fields, 1):
        line = ones([(k, s, 0, d) for k, s, _, d in windows[:n]], axes=1)
        x = torch.ones(1, 1, field, 1, dtype=torch.float64)
        taps.append(int((geometry.effective_receptive_field(line, x, (0, 0)) > 0).sum()))
    lost = [0] * (state["count"] - len(windows))
    flat = 0 if lost else channels * sizes[-1] ** 2
    unit = (state["row"], state["column"])
    if chosen < len(windows):
        here = table.iloc[chosen]
        first = [here.offset_h + u * here.jump_h - (here.field_h - 1) / 2 for u in unit]
        last = [pixel + here.field_h - 1 for pixel in first]
        thin = ones(windows[: chosen + 1], axes=2)
        x = torch.ones(1, 1, image, image, dtype=torch.float64)
        try:
            seen = geometry.effective_receptive_field(thin, x, unit) > 0
            rows, columns = (seen.any(1), seen.any(0))
            if unit[0] == unit[1]:
                assert torch.equal(seen, rows[:, None] & columns)
        except ValueError:  # all of its windows end in padding, in one direction at least
            line = ones(windows[: chosen + 1], axes=1)
            rows, columns = (on_axis(line, image, u) for u in unit)
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(thin(x).sum(), x)
        covered = (gradient[0, 0] > 0).any(1)
    else:
        first, last = [0, 0], [-1, -1]
        rows = columns = covered = torch.zeros(image)
    return {
        "sizes": sizes[1:] + lost,
        "parameters": parameters + lost,
        "fields": fields + lost,
        "jumps": ([] if table is None else table.jump_h.tolist()) + lost,
        "taps": taps + lost,
        "flat": flat,
        "first": first,
        "last": last,
        "rows": rows,
        "columns": columns,
        "covered": covered,
    }


def on_axis(line: nn.Sequential, image: int, place: int) -> torch.Tensor:
    """Which pixels of an axis a unit depends on; all zero if none."""
    x = torch.ones(1, 1, image, 1, dtype=torch.float64)
    try:
        return geometry.effective_receptive_field(line, x, (place, 0))[:, 0] > 0
    except ValueError:
        return torch.zeros(image)


# Poolings of a signal on a ring -------------------------------------------------------------------


def pooled_on_a_ring(state: State) -> dict[str, Any]:
    taps = {"none": [1], "two": [1, 1], "three": [1, 2, 1], "five": [1, 4, 6, 4, 1]}
    weight = torch.tensor(taps[state["blur"]], dtype=torch.float64).reshape(1, 1, 1, -1)
    size, step, k = (1, state["size"]), (1, state["stride"]), weight.shape[-1]

    def ring(x: torch.Tensor, before: int, after: int) -> torch.Tensor:
        return F.pad(x, (before, after, 0, 0), mode="circular")

    def poolings(x: torch.Tensor) -> torch.Tensor:
        windows = ring(x, 0, state["size"] - 1)
        dense = ring(ops.max_pool2d(windows, size, 1), (k - 1) // 2, k // 2)
        return torch.cat(
            [
                ops.max_pool2d(windows, size, step),
                ops.avg_pool2d(windows, size, step),
                ops.conv2d(x, torch.ones_like(weight[..., :1]), stride=step),
                ops.conv2d(dense, weight / weight.sum(), stride=step),
            ]
        )[:, 0, 0]

    def rms(x: torch.Tensor) -> torch.Tensor:
        return x.square().mean(dim=-1).sqrt()

    x = torch.tensor(state["signal"], dtype=torch.float64).reshape(1, 1, 1, 12)
    outputs = torch.stack([poolings(x.roll(by, dims=-1)) for by in range(13)], dim=1)
    rest = outputs[:, 0]
    moves = torch.stack([rest.roll(by, dims=-1) for by in range(rest.shape[-1])])
    numbers = {
        "rest": rest,
        "moved": outputs[:, state["shift"]],
        "same": rms(outputs - rest[:, None]),
        "nearest": rms(outputs - moves[:, :, None]).amin(dim=0),
        "spread": rest.std(dim=-1, correction=0),
    }
    return {key: value.numpy() for key, value in numbers.items()}


def shift_settings(draw: random.Random) -> State:
    return {
        "signal": [round(draw.uniform(0, 1), 3) for _ in range(12)],
        "shift": draw.randint(0, 12),
        "size": draw.randint(2, 4),
        "stride": draw.randint(2, 4),
        "blur": draw.choice(["none", "two", "three", "five"]),
        "cell": draw.randint(0, 11),
    }


# An activation of a Gaussian ----------------------------------------------------------------------


def activated(state: State) -> dict[str, Any]:
    """The moments by the library's quadrature, φ and φ′ by PyTorch, the shares by bisection."""
    phi, mean, std = ACTIVATIONS[state["activation"]], state["mean"], state["std"]
    moments = {
        "mean": phi.function,
        "square": lambda z: phi.function(z) ** 2,
        "slope": lambda z: phi.derivative(z) ** 2,
    }
    numbers: dict[str, Any] = {
        key: gaussian_mean(f, mean, std, phi.kinks) for key, f in moments.items()
    }
    numbers["variance"] = numbers["square"] - numbers["mean"] ** 2
    # φ and φ′ where the module and autograd have them.
    z = torch.tensor([mean - std, mean, mean + std], dtype=torch.float64, requires_grad=True)
    a = phi.module().double()(z)
    (slopes,) = torch.autograd.grad(a.sum(), z)
    numbers |= {"a": a.detach().numpy(), "slopes": slopes.numpy()}

    def share(low: float, high: float) -> float:
        ends = torch.tensor([low - mean, high - mean], dtype=torch.float64) / std
        return torch.special.ndtr(ends).diff().item()

    def steep(points: torch.Tensor) -> torch.Tensor:
        return phi.derivative(points).abs()

    line = torch.linspace(-40, 40, 16_001, dtype=torch.float64)
    beside = torch.tensor(phi.kinks, dtype=torch.float64)
    top = steep(torch.cat([line, beside, beside - 1e-12])).max()
    peak = line[steep(line).argmax()]
    top = max(top, steep(torch.linspace(-0.01, 0.01, 20_001).double() + peak).max())

    def pieces(flat: Callable[[torch.Tensor], torch.Tensor]) -> float:
        """Return the share of z where ``flat`` holds, its ends found by bisection."""
        total, start = 0.0, -math.inf
        marks = flat(line)
        for k in marks.diff().nonzero().flatten().tolist():
            low, high = line[k], line[k + 1]
            for _ in range(60):
                middle = (low + high) / 2
                low, high = (middle, high) if flat(middle) == flat(low) else (low, middle)
            if marks[k]:
                total += share(start, high.item())
            start = high.item()
        return total + (share(start, math.inf) if marks[-1] else 0.0)

    # Where the derivative is zero on a whole half-line; elsewhere at single points at most.
    exact = {"relu": 0.0, "hardswish": -3.0}.get(phi.name)
    numbers["zero"] = 0.0 if exact is None else share(-math.inf, exact)
    numbers["saturated"] = pieces(lambda points: steep(points) < 0.05 * top)
    return numbers


# Signal and gradient through depth ----------------------------------------------------------------


MEAN_FIELD = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "selu", "identity")


def settled(name: str, q: float, w: float, b: float) -> float:
    """Return the fixed point that layers approach from q, 1e300 if they approach none.

    ``theory.q_star`` starts from 1, so it is asked in units of q. Where every q is fixed, it is q.
    """
    phi, s = ACTIVATIONS[name], math.sqrt(q)
    scaled = replace(
        phi,
        function=lambda z: phi(s * z),
        derivative=lambda z: s * phi.derivative(s * z),
        kinks=tuple(kink / s for kink in phi.kinks),
    )
    try:
        return q * theory.q_star(scaled, w / q, b / q)
    except ValueError as error:
        return q if "every q" in str(error) else 1e300


def profiled(state: State) -> dict[str, Any]:
    name, w, b = state["activation"], state["sigma_w2"], state["sigma_b2"]
    qs, logs = [w + b], []
    for _ in range(state["depth"] - 2):
        logs.append(math.log10(theory.chi1(name, w, b, q=qs[-1])))
        qs.append(min(theory.next_q(name, qs[-1], w, b), 1e300))
    q_star = settled(name, qs[0], w, b)
    chi = theory.chi1(name, w, b, q=q_star)
    scale = 1 / max(abs(math.log(chi)), 1e-6)
    return {
        "q": qs,
        "signal": np.log10(qs),
        "gradient": np.append(np.cumsum(logs[::-1])[::-1], 0.0),
        "q_star": q_star,
        "chi": chi,
        "scale": scale,
        "settles": q_star < 1e300,
        "phase": 0 if scale > 100 else math.copysign(1, chi - 1),
    }


# Units in recorded runs ---------------------------------------------------------------------------


def lived(state: State) -> dict[str, Any]:
    """Count the units of a recorded run at one census, from its letters."""
    table = recorded.load(ROOT / "experiments" / "unit_lives.csv")
    rate = sorted(table["lr"].unique())[state["rate"]]
    runs = table[(table["optimizer"] == state["optimizer"]) & (table["lr"] == rate)]
    mine = runs[runs["seed"] == state["seed"]]
    step = sorted(table["step"].unique())[state["time"]]
    found: dict[str, Any] = {"step": step, "rate": rate}
    for _, rows in mine.groupby("layer"):
        letters = pd.DataFrame([list(text) for text in rows["status"]], index=rows["step"])
        dead, sparse = letters.eq("d"), letters.eq("s").loc[step]
        ever, now = dead[dead.index < step].any(), dead.loc[step]
        counts = {
            "alive": (~now).sum(),
            "sparse": sparse.sum(),
            "revived": (ever & ~now).sum(),
            "dead": now.sum(),
            "killed": (now & ~dead.loc[0]).sum(),
            "units": np.select([now, sparse], [0, 1], 2),
            "back": (ever & ~now).to_numpy(),
        }
        for name, value in counts.items():
            found.setdefault(name, []).append(value)
    found["share"] = [rows["dead"] for _, rows in runs.groupby(["seed", "layer"])]
    found["accuracy"] = mine.loc[mine["layer"] == "dense1", "train_accuracy"]
    return found


TWINS = {
    "convolution": Twin(draw_window, convolved),
    "geometry": Twin(draw_stack, stacked),
    "shift": Twin(shift_settings, pooled_on_a_ring),
    "activations": Twin(
        lambda draw: {
            "activation": draw.choice(list(ACTIVATIONS)),
            "mean": round(draw.uniform(-6, 6), 1),
            "std": round(draw.uniform(0.1, 8), 1),
        },
        activated,
    ),
    "profile": Twin(
        lambda draw: {
            "activation": draw.choice(MEAN_FIELD),
            # Half of the settings lie where the phases meet.
            "sigma_w2": round(0.05 * draw.randint(1, draw.choice((80, 400))), 2),
            "sigma_b2": round(0.05 * draw.choice((0, draw.randint(0, 80))), 2),
            "depth": draw.randint(5, 100),
        },
        profiled,
    ),
    "lives": Twin(
        lambda draw: {
            "optimizer": draw.choice(["SGD", "momentum", "Adam"]),
            "rate": draw.randint(0, 5),
            "time": draw.randint(0, 15),
            "seed": draw.randint(0, 4),
        },
        lived,
    ),
}
