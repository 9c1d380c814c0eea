"""A hook goes away with the function that made it, and a network that is initialised is to train.

points lsuv-test 5
mistake a hook is left behind
"""


# %% lsuv
def lsuv_(model, x, tolerance=0.01, attempts=10, generator=None):
    layers = [part for part in model.modules() if isinstance(part, LAYERS)]
    calls, seen = [], {}

    def note(part, inputs, z):
        calls.append(part)
        seen.setdefault(part, []).append(z.flatten())

    for layer in layers:
        nn.init.orthogonal_(layer.weight, generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        layer.register_forward_hook(note)
    model.eval()
    with torch.no_grad():
        model(x)
        for layer in list(dict.fromkeys(calls)):
            for attempt in range(attempts + 1):
                seen.clear()
                model(x)
                variance = torch.cat(seen[layer]).var(correction=0)
                if abs(variance - 1) <= tolerance:
                    break
                if not variance > 0 or attempt == attempts:
                    raise ValueError("variance 1 not reached")
                layer.weight /= variance.sqrt()
    return model.train()
