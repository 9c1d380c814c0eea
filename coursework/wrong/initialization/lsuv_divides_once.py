"""A layer's output is linear in its weight, so that one division always brings variance one.

points lsuv-test 5
mistake a layer that is called twice is scaled as if called once
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
    for layer in measure():
        std = measure()[layer].std(correction=0)
        if not std > 0:
            raise ValueError("the output does not vary")
        layer.weight.data /= std
    for part, mode in modes.items():
        part.training = mode
    return model
