"""The recorded benchmarks: complete, made by their recipes, and of the layers they name."""

from pathlib import Path

import pytest
import torch
from torch import nn

from cnnbook import models, recorded

ROOT = Path(__file__).resolve().parent.parent / "benchmarks"
RECIPES = ("building", "convolution", "growth", "memory", "probes", "probes_elsewhere")
RECIPES += ("sweep", "weights")


@pytest.mark.parametrize("name", RECIPES)
def test_the_table_is_complete_and_made_by_its_recipe(name):
    assert recorded.problems(ROOT / f"{name}.py") == []
    table = recorded.load(ROOT / f"{name}.csv")
    weights = name == "weights"  # they have no spread, and pages may lack figures
    assert table["seed"].nunique() >= (1 if weights else 5)
    for column in recorded.recipe(ROOT / f"{name}.py").FREE:
        assert ((table[column] > 0) | (weights & (table[column] == 0))).all()


def layers_of(net, size):
    """Return channels in and out, side of the input, stride and padding of all 3×3 convolutions."""
    seen = set()

    def look(module, args, output):
        if module.kernel_size == (3, 3):
            channels, rows = args[0].shape[1:3]
            how = (module.stride[0], module.padding[0])
            seen.add((channels, module.out_channels, rows, *how))

    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(look)
    with torch.no_grad():
        net(torch.zeros(2, *size))
    return seen


@pytest.mark.parametrize("side", [64, 224])
def test_the_layers_are_those_of_torchvision(side):
    from torchvision import models as theirs  # after cnnbook, which makes it importable

    listed = {(*layer, 1) for layer in recorded.recipe(ROOT / "convolution.py").resnet18(side)}
    assert layers_of(theirs.resnet18(), (3, side, side)) == listed


def test_the_layers_are_those_of_the_book():
    recipe = recorded.recipe(ROOT / "convolution.py")
    assert layers_of(models.a_net(), (3, 224, 224)) == {(*a, 1, 0) for a in recipe.A_NET}
    assert layers_of(models.b_net(), (1, 28, 28)) == {(*b, 1, 0) for b in recipe.B_NET}
