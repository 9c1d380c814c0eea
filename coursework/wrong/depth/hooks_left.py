"""Hooks and gradients of one call go away by themselves when the function returns.

points profile-test 5
mistake a hook is left behind
"""


# %% profile
def gradient_profile(net, x, y, loss=F.cross_entropy):
    calls = []

    def listen(layer, inputs, z):
        z.retain_grad()
        calls.append((layer, z))
        return z.clone()

    for layer in net.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            layer.register_forward_hook(listen)
    net.zero_grad()
    loss(net(x), y).backward()
    rms = lambda g: g.double().square().mean().sqrt().item()
    return pd.DataFrame(
        {
            "depth": range(1, len(calls) + 1),
            "grad_z": [rms(z.grad) for _, z in calls],
            "grad_weight": [rms(layer.weight.grad) for layer, _ in calls],
        }
    )
