"""What stands at the end of a function is run, whatever happens before.

points census-test 7
mistake left behind after an error
"""


# %% census
def census(net, batches):
    sums, handles, calls = {}, [], {}
    modes = [m.training for m in net.modules()]
    net.eval()

    def listen(name, a):
        calls[name] = calls.get(name, 0) + 1
        key = name if calls[name] == 1 else f"{name}#{calls[name]}"
        a = a.movedim(1, 0).flatten(1)
        new = torch.stack([(a > 0).sum(1).double(), a.abs().sum(1).double()])
        total, n = sums.get(key, (0, 0))
        sums[key] = total + new, n + a.shape[1]

    for name, m in net.named_modules():
        if isinstance(m, nn.ReLU):
            handles.append(m.register_forward_hook(lambda m, i, a, name=name: listen(name, a)))
    with torch.no_grad():
        for x in batches:
            calls.clear()
            net(x)
    for handle in handles:
        handle.remove()
    for m, mode in zip(net.modules(), modes):
        m.training = mode
    return pd.DataFrame(
        [
            {"layer": key, "unit": u, "active": float(t[0, u]) / n, "size": float(t[1, u]) / n}
            for key, (t, n) in sums.items()
            for u in range(t.shape[1])
        ]
    )
