"""The generator is there for the caller; the functions that draw find it by themselves.

points draw-test 4
points lsuv-test 5
mistake the generator is ignored
"""


# %% draw
def initialize_(model, mode="fan_in", distribution="normal", gain=1.0, generator=None):
    if mode not in ("fan_in", "fan_out", "average"):
        raise ValueError(f"no mode {mode!r}")
    if distribution not in ("normal", "uniform"):
        raise ValueError(f"no distribution {distribution!r}")
    for layer in model.modules():
        if isinstance(layer, LAYERS):
            pair = fans(layer)
            fan = {"fan_in": pair[0], "fan_out": pair[1], "average": sum(pair) / 2}[mode]
            weight = torch.randn_like(layer.weight)
            if distribution == "uniform":
                weight = math.sqrt(3) * (2 * torch.rand_like(layer.weight) - 1)
            layer.weight.data = gain / math.sqrt(fan) * weight
            if layer.bias is not None:
                layer.bias.data.zero_()
    return model


# %% lsuv
def lsuv_(model, x, tolerance=0.01, attempts=10, generator=None):
    modes = {part: part.training for part in model.modules()}
    model.eval()
    seen = {}
    for layer in modes:
        if isinstance(layer, LAYERS):
            nn.init.orthogonal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def measure():
        seen.clear()
        handles = [
            part.register_forward_hook(lambda part, _, z: seen.setdefault(part, []).append(z))
            for part in modes
            if isinstance(part, LAYERS)
        ]
        with torch.no_grad():
            model(x)
        for handle in handles:
            handle.remove()
        return {p: torch.cat([z.flatten() for z in zs]).var() for p, zs in seen.items()}

    for layer in list(measure()):
        for _ in range(attempts):
            variance = measure()[layer]
            if not variance > 0:
                raise ValueError("no variance")
            if abs(variance - 1) <= tolerance:
                break
            layer.weight.data /= variance.sqrt()
        if not abs(measure()[layer] - 1) <= tolerance:
            raise ValueError("variance 1 not reached")
    for part, mode in modes.items():
        part.training = mode
    return model
