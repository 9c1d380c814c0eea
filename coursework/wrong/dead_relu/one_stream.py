"""One generator for all seeds is enough.

points odds-test 4.5
mistake a seed does not determine its layer
"""


# %% odds
def born_dead_odds(x, sigma, beta):
    lengths = x.norm(dim=1)
    cosines = (x / lengths[:, None]) @ (x / lengths[:, None]).T
    reach = beta * x.shape[1] ** 0.5 / sigma  # a unit is dead on x if its draw along x is below
    odds, seen = 1.0, torch.zeros(len(x), dtype=torch.bool)
    for i in range(len(x)):
        if seen[i]:
            continue
        forth, back = cosines[i] > 0.5, cosines[i] < -0.5
        seen |= forth | back
        below = torch.special.ndtr(reach / lengths[forth].max())
        if back.any():
            below = below - torch.special.ndtr(-reach / lengths[back].max())
        odds *= below.item()
    return odds


def count_born_dead(x, units, sigma, beta, seeds):
    found = []
    draw = torch.Generator().manual_seed(sum(seeds))
    for _ in seeds:
        weight = torch.randn(units, x.shape[1], generator=draw, dtype=x.dtype)
        z = x @ weight.T * (sigma / x.shape[1] ** 0.5) - beta
        found.append(int((z <= 0).all(dim=0).sum()))
    return found
