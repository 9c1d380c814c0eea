"""The modules of a network are listed in the order in which they are called.

points lsuv-test 5
mistake layers are scaled in the order they were written down
"""


# %% lsuv
def lsuv_(model, x, tolerance=0.01, attempts=10, generator=None):
    modes = {part: part.training for part in model.modules()}
    layers = [part for part in modes if isinstance(part, LAYERS)]
    for layer in layers:
        nn.init.orthogonal_(layer.weight, generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)

    def measure():
        seen = {}

        def note(part, inputs, z):
            seen.setdefault(part, []).append(z.flatten())

        handles = [layer.register_forward_hook(note) for layer in layers]
        with torch.no_grad():
            model(x)
        for handle in handles:
            handle.remove()
        return {part: torch.cat(zs) for part, zs in seen.items()}

    model.eval()
    for layer in layers:
        for _ in range(attempts):
            z = measure()[layer]
            if not z.var() > 0:
                raise ValueError("the output does not vary")
            if abs(z.var(correction=0) - 1) <= tolerance:
                break
            layer.weight.data /= z.std(correction=0)
        if not abs(measure()[layer].var(correction=0) - 1) <= tolerance:
            raise ValueError("variance 1 not reached")
    for part, mode in modes.items():
        part.training = mode
    return model
