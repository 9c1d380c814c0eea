"""Of two opposite images one is always above zero, as without a bias.

points odds-test 3.5
mistake opposite images cannot both be lost
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
            return 0.0
        odds *= below.item()
    return odds


def count_born_dead(x, units, sigma, beta, seeds):
    found = []
    for seed in seeds:
        draw = torch.Generator().manual_seed(seed)
        weight = torch.randn(units, x.shape[1], generator=draw, dtype=x.dtype)
        z = x @ weight.T * (sigma / x.shape[1] ** 0.5) - beta
        found.append(int((z <= 0).all(dim=0).sum()))
    return found
