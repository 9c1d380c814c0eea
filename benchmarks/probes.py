"""What ``probes.Probe`` costs a training step, beside fastai's ActivationStats and torchlens.

Every variant takes its turn in each round, so that all of them meet the same machine; a ratio is
taken within its round. Run with OMP_NUM_THREADS=1. The peers are optional:
pip install --no-deps -r benchmarks/requirements.txt, in an environment of its own.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnbook import models, repro
from cnnbook.probes import Probe

Step = Callable[[], Tensor]


def activation_stats(model: nn.Module) -> AbstractContextManager:
    """The hooks that fastai's callback registers when training starts, without its learner."""
    from fastai.callback.hook import ActivationStats, Hooks, flatten_model, has_params

    modules = [module for module in flatten_model(model) if has_params(module)]
    return Hooks(modules, ActivationStats().hook, is_forward=True, detach=True, cpu=True)


def traced_step(model: nn.Module, x: Tensor, step: Step) -> Step:
    """A step and torchlens' record of its forward pass, which is a forward pass of its own."""
    from torchlens import trace
    from torchlens.options import CaptureOptions

    def run() -> Tensor:
        trace(model, x, capture=CaptureOptions(unwrap_when_done=True))
        return step()

    return run


def plain_step(model: nn.Module, x: Tensor, y: Tensor, optimizer: torch.optim.Optimizer) -> Step:
    def step() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def seconds(step: Step, context: AbstractContextManager, steps: int) -> float:
    """Mean wall clock of a step; the first one, inside the context too, is not counted."""
    with context:
        step()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        return (time.perf_counter() - start) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=20, help="steps a round")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    repro.use_threads()
    repro.seed_all(0)
    model = models.b_net()
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))
    step = plain_step(model, x, y, optimizer)
    variants: dict[str, tuple[Step, Callable[[], AbstractContextManager]]] = {
        "unprobed": (step, nullcontext),
        "Probe, every step": (step, lambda: Probe(model)),
        "Probe, every tenth": (step, lambda: Probe(model, every=10)),
        "Probe, activations only": (step, lambda: Probe(model, gradients=False)),
    }
    try:
        with activation_stats(model):
            pass
        variants["ActivationStats (fastai)"] = (step, lambda: activation_stats(model))
    except ImportError as error:
        print(f"fastai is not measured: {error}")
    try:
        variants["torchlens.trace, and the step"] = (traced_step(model, x, step), nullcontext)
    except ImportError as error:
        print(f"torchlens is not measured: {error}")

    rows = []
    for _ in range(options.rounds):
        rows.append(
            {name: seconds(s, make(), options.steps) for name, (s, make) in variants.items()}
        )
    times = pd.DataFrame(rows)
    ratios = times.div(times["unprobed"], axis=0)
    table = pd.DataFrame(
        {
            "ms a step": times.median() * 1e3,
            "least ms": times.min() * 1e3,
            "ratio": ratios.median(),
            "from": ratios.quantile(0.25),
            "to": ratios.quantile(0.75),
        }
    )
    print(repro.environment().to_string())
    print(table.to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
