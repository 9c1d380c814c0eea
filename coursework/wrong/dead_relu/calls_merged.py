"""A ReLU has no parameters, so one module is one layer, however often it is called.

points census-test 6.5
mistake calls of one module are merged
"""


# %% census
def census(net, batches):
    positions, active, size = {}, {}, {}
    calls, names = {}, {}

    def count(module, args, a):
        calls[module] = calls.get(module, 0) + 1
        name = names[module]
        a = a.detach().transpose(0, 1).flatten(1)  # (units, images and positions)
        positions[name] = positions.get(name, 0) + a.shape[1]
        active[name] = active.get(name, 0) + (a > 0).sum(dim=1)
        size[name] = size.get(name, 0) + a.abs().sum(dim=1, dtype=torch.float64)

    modes = [(module, module.training) for module in net.modules()]
    handles = []
    try:
        for name, module in net.named_modules():
            if isinstance(module, nn.ReLU):
                names[module] = name
                handles.append(module.register_forward_hook(count))
        net.eval()
        with torch.no_grad():
            for x in batches:
                calls.clear()
                net(x)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode
    rows = [
        (name, unit, (active[name][unit] / total).item(), (size[name][unit] / total).item())
        for name, total in positions.items()
        for unit in range(len(active[name]))
    ]
    return pd.DataFrame(rows, columns=["layer", "unit", "active", "size"])
