"""The gradient of a layer is that of what it hands on, ∂L/∂a behind its activation.

points profile-test 1
mistake ∂L/∂a, not ∂L/∂z
"""


# %% profile
def gradient_profile(net, x, y, loss=F.cross_entropy):
    parts = [m for m in net.modules() if not list(m.children())]
    heard, handles = [], []
    for part in parts:
        hook = lambda part, inputs, out: heard.append((part, out))
        handles.append(part.register_forward_hook(hook))
    value = loss(net(x), y)
    for handle in handles:
        handle.remove()
    found, layers = [], []
    for part, out in heard:
        if isinstance(part, (nn.Linear, nn.Conv2d)):
            layers.append(part)
            found.append(out)
        elif isinstance(part, (nn.ReLU, nn.Tanh, nn.Sigmoid)):
            found[-1] = out
    gradients = torch.autograd.grad(value, [*found, *(layer.weight for layer in layers)])
    rms = [g.double().square().mean().sqrt().item() for g in gradients]
    n = len(layers)
    return pd.DataFrame({"depth": range(1, n + 1), "grad_z": rms[:n], "grad_weight": rms[n:]})
