"""A network is initialised for training, so it is measured as it will be trained.

points lsuv-test 5
mistake measured in training mode
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

    for layer in measure():
        for _ in range(attempts):
            std = measure()[layer].std(correction=0)
            if not std > 0:
                raise ValueError("the output does not vary")
            layer.weight.data /= std
            if abs(measure()[layer].var(correction=0) - 1) <= tolerance:
                break
        else:
            raise ValueError("variance 1 not reached")
    return model
