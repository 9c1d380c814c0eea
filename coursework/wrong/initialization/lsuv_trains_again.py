"""After a measurement in evaluation mode one calls train(), and all is as before.

points lsuv-test 5
mistake the mode is changed
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
        for attempt in range(attempts + 1):
            variance = measure()[layer].var(correction=0)
            if abs(variance - 1) <= tolerance:
                break
            if not variance > 0 or attempt == attempts:
                raise ValueError("variance 1 not reached")
            layer.weight.data /= variance.sqrt()
    return model.train()
