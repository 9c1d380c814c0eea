"""A backward pass with the gradients set to zero before it leaves the network as it was.

points profile-test 5
mistake gradients are left behind
"""


# %% profile
def gradient_profile(net, x, y, loss=F.cross_entropy):
    calls, handles = [], []

    def listen(layer, inputs, z):
        z.retain_grad()
        calls.append((layer, z))
        return z.clone()

    for layer in net.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            handles.append(layer.register_forward_hook(listen))
    net.zero_grad()
    loss(net(x), y).backward()
    for handle in handles:
        handle.remove()
    rms = lambda g: g.double().square().mean().sqrt().item()
    return pd.DataFrame(
        {
            "depth": range(1, len(calls) + 1),
            "grad_z": [rms(z.grad) for _, z in calls],
            "grad_weight": [rms(layer.weight.grad) for layer, _ in calls],
        }
    )
