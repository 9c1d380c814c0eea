"""One pass through the network measures all layers, and then each is divided by its own deviation.

points lsuv-test 1.5
mistake all layers are scaled from one pass
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
    for layer, z in measure().items():
        if not z.var() > 0:
            raise ValueError("the output does not vary")
        layer.weight.data /= z.std()
    for part, mode in modes.items():
        part.training = mode
    return model
