"""To go back to training is to call net.train(), and that is all there is to restore.

points census-test 6
mistake the mode is changed
mistake left behind after an error
"""


# %% census
def census(net, batches):
    positions, active, size = {}, {}, {}
    calls, names = {}, {}

    def count(module, args, a):
        calls[module] = calls.get(module, 0) + 1
        name = names[module] + (f"#{calls[module]}" if calls[module] > 1 else "")
        a = a.detach().transpose(0, 1).flatten(1)  # (units, images and positions)
        positions[name] = positions.get(name, 0) + a.shape[1]
        active[name] = active.get(name, 0) + (a > 0).sum(dim=1)
        size[name] = size.get(name, 0) + a.abs().sum(dim=1, dtype=torch.float64)

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
        net.train()
    rows = [
        (name, unit, (active[name][unit] / total).item(), (size[name][unit] / total).item())
        for name, total in positions.items()
        for unit in range(len(active[name]))
    ]
    return pd.DataFrame(rows, columns=["layer", "unit", "active", "size"])
