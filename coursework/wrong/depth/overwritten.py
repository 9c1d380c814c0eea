"""What a hook has kept stays what it was, also if the next layer works in place.

points profile-test 5
mistake ∂L/∂a, not ∂L/∂z
"""


# %% profile
def gradient_profile(net, x, y, loss=F.cross_entropy):
    calls, handles = [], []
    for layer in net.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            hook = lambda layer, inputs, z: calls.append((layer, z))
            handles.append(layer.register_forward_hook(hook))
    value = loss(net(x), y)
    for handle in handles:
        handle.remove()
    watched = [z for _, z in calls] + [layer.weight for layer, _ in calls]
    rms = [g.double().square().mean().sqrt().item() for g in torch.autograd.grad(value, watched)]
    n = len(calls)
    return pd.DataFrame({"depth": range(1, n + 1), "grad_z": rms[:n], "grad_weight": rms[n:]})
