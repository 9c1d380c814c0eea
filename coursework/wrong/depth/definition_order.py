"""Layers are called in the order in which the network lists them.

points profile-test 5
mistake layers in the order of their definition
"""


# %% profile
def gradient_profile(net, x, y, loss=F.cross_entropy):
    layers = [m for m in net.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    heard, handles = {}, []

    def listen(layer, inputs, z):
        heard[layer] = z
        return z.clone()

    for layer in layers:
        handles.append(layer.register_forward_hook(listen))
    value = loss(net(x), y)
    for handle in handles:
        handle.remove()
    watched = [heard[layer] for layer in layers] + [layer.weight for layer in layers]
    gradients = torch.autograd.grad(value, watched)
    rms = [g.double().square().mean().sqrt().item() for g in gradients]
    n = len(layers)
    return pd.DataFrame({"depth": range(1, n + 1), "grad_z": rms[:n], "grad_weight": rms[n:]})
