"""The shares of a data set are the means of the shares of its batches.

points census-test 6.5
mistake mean of batch means, of unequal batches
"""


# %% census
def census(net, batches):
    found, handles, modes = {}, [], {m: m.training for m in net.modules()}
    calls = {}

    def watch(name):
        def hook(module, args, a):
            calls[name] = calls.get(name, 0) + 1
            label = name if calls[name] == 1 else f"{name}#{calls[name]}"
            axes = [axis for axis in range(a.ndim) if axis != 1]
            pair = (a > 0).double().mean(axes), a.abs().double().mean(axes)
            found.setdefault(label, []).append(pair)

        return hook

    try:
        for name, module in net.named_modules():
            if isinstance(module, nn.ReLU):
                handles.append(module.register_forward_hook(watch(name)))
        net.eval()
        with torch.no_grad():
            for x in batches:
                calls.clear()
                net(x)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    tables = []
    for label, pairs in found.items():
        active, size = (torch.stack(column).mean(0).numpy() for column in zip(*pairs))
        columns = {"layer": label, "unit": np.arange(len(active)), "active": active, "size": size}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


# %% counts
with torch.no_grad():  # all images at once: here the mean of means is the mean
    first, active, size = [], [], []
    a = IMAGES
    for layer in OWN:
        a = layer(a)
        if isinstance(layer, nn.ReLU):
            units = a.transpose(0, 1).flatten(1)
            active.append((units > 0).double().mean(1))
            size.append(units.mean(1))
            first.append((a[:16].transpose(0, 1).flatten(1) > 0).any(1))
share, seen = torch.cat(active), torch.cat(first)
counts = {
    "dead": int((share == 0).sum()),
    "sparse": int(((share > 0) & (share < 0.01)).sum()),
    "dormant": sum(int((units <= 0.025 * units.mean()).sum()) for units in size),
    "false alarms": int((~seen & (share > 0)).sum()),
}
