"""A hook measures and does no harm, so that it may stay, and so may gradients.

points examine-test 6
points diagnose-test 9
mistake a hook is left behind
"""


# %% examine
def examine(network, x, y, learning_rate):
    seen = {}

    def look(layer, inputs, z):
        if z.requires_grad:
            z.retain_grad()
            seen[layer] = z

    for layer in weight_layers(network):
        layer.register_forward_hook(look)
    network.zero_grad()
    F.cross_entropy(network(x.clone().requires_grad_()), y).backward()
    rows, modules = [], [*network, None]
    for k, layer in enumerate(network):
        if layer not in seen:
            continue
        z, a = seen[layer].detach(), seen[layer].detach()
        dead = flat = 0.0
        if isinstance(modules[k + 1], nn.ReLU):
            a = z.relu()
            dead = (z <= 0).transpose(0, 1).flatten(1).all(1).float().mean().item()
            flat = (z <= 0).float().mean().item()
        elif isinstance(modules[k + 1], nn.Tanh):
            a = z.tanh()
            flat = (1 - a**2 < 0.05).float().mean().item()
        update = 0.0
        if layer.weight.requires_grad:
            update = learning_rate * (layer.weight.grad.norm() / layer.weight.norm()).item()
        rows.append(
            {
                "layer": str(k),
                "rms": a.square().mean().sqrt().item(),
                "dead": dead,
                "flat": flat,
                "grad_z": seen[layer].grad.square().mean().sqrt().item(),
                "update": update,
            }
        )
    return rows
