"""A weight between two revived units is outgoing, so it is cut.

points revive-test 2.5
mistake a weight between two revived is cut
"""


# %% revive
def revive(net, dead, seed):
    fresh = copy.deepcopy(net)
    draw = torch.Generator().manual_seed(seed)
    parts = dict(fresh.named_children())
    names = list(parts)
    around = {}
    for name, mask in dead.items():
        if not isinstance(parts.get(name), nn.ReLU):
            raise ValueError(f"dead names {name!r}, which is no ReLU of the network")
        at = names.index(name)
        weighted = [isinstance(part, nn.Linear | nn.Conv2d) for part in parts.values()]
        below, above = parts[names[at - 1]], parts[names[weighted.index(True, at)]]
        if mask.shape != (len(below.weight),):
            raise ValueError(f"{name} has {len(below.weight)} units, its mask {tuple(mask.shape)}")
        around[name] = below, above
    with torch.no_grad():
        for name, (below, _) in around.items():
            incoming = below.weight[dead[name]]
            normal = torch.randn(incoming.shape, generator=draw, dtype=incoming.dtype)
            below.weight[dead[name]] = normal * (2 / below.weight[0].numel()) ** 0.5
            if below.bias is not None:
                below.bias[dead[name]] = 0.0
        for name, (_, above) in around.items():
            above.weight.unflatten(1, (len(dead[name]), -1))[:, dead[name]] = 0.0
    return fresh
