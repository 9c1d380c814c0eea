"""Unit variance means that each unit is scaled to variance one by itself.

points lsuv-test 4
mistake each unit is scaled by its own deviation
"""


# %% lsuv
def lsuv_(model, x, tolerance=0.01, attempts=10, generator=None):
    modes = {part: part.training for part in model.modules()}
    layers = [part for part in modes if isinstance(part, LAYERS)]
    for layer in layers:
        nn.init.orthogonal_(layer.weight, generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    model.eval()
    order, outputs = [], {}

    def note(part, inputs, z):
        order.append(part)
        outputs[part] = z

    handles = [layer.register_forward_hook(note) for layer in layers]
    with torch.no_grad():
        model(x)
        for layer in list(dict.fromkeys(order)):
            model(x)
            z = outputs[layer]
            std = z.std([axis for axis in range(z.dim()) if axis != 1])
            if not (std > 0).all():
                raise ValueError("a unit does not vary")
            layer.weight /= std.view(-1, *[1] * (layer.weight.dim() - 1))
    for handle in handles:
        handle.remove()
    for part, mode in modes.items():
        part.training = mode
    return model
