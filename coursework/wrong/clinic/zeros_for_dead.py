"""A zero is a dead unit, so that half of every ReLU layer is dead.

points examine-test 5
points own-test 1.5
mistake a share of zeros, not of dead units
"""


# %% examine
def examine(network, x, y, learning_rate):
    """Return the vital signs of a network: one row for each weight layer.

    Args:
        network: An nn.Sequential, as a patient's.
        x: Prepared images, (N, 1, H, W).
        y: Labels, (N,).
        learning_rate: η of SGD.
    """
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    twin = copy.deepcopy(network).requires_grad_()
    twin.zero_grad()
    seen, a = [], x.detach()
    for name, layer in twin.named_children():
        a = layer(a)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            a.retain_grad()
            seen.append({"name": name, "layer": layer, "z": a, "a": a, "activation": None})
        elif isinstance(layer, nn.ReLU | nn.Tanh):
            seen[-1] |= {"a": a, "activation": layer}
    F.cross_entropy(a, y).backward()

    rows = []
    for at in seen:
        z, a, weight = at["z"].detach(), at["a"].detach(), at["layer"].weight
        dead = flat = 0.0
        if isinstance(at["activation"], nn.ReLU):
            dead = (z <= 0).float().mean().item()
            flat = (z <= 0).float().mean().item()
        elif isinstance(at["activation"], nn.Tanh):
            flat = (1 - a**2 < 0.05).float().mean().item()
        step = learning_rate * (weight.grad.norm() / weight.detach().norm()).item()
        rows.append(
            {
                "layer": at["name"],
                "rms": a.square().mean().sqrt().item(),
                "dead": dead,
                "flat": flat,
                "grad_z": at["z"].grad.square().mean().sqrt().item(),
                "update": 0.0 if f"{at['name']}.weight" in frozen else step,
            }
        )
    return rows
