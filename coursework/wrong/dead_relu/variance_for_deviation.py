"""A normal draw is multiplied by its variance.

points odds-test 0.5
mistake variance for standard deviation
"""


# %% odds
def born_dead_odds(x, sigma, beta):
    lengths = x.norm(dim=1)
    cosines = (x / lengths[:, None]) @ (x / lengths[:, None]).T
    reach = beta * x.shape[1] / sigma**2  # a unit is dead on x if its draw along x is below
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
    for seed in seeds:
        draw = torch.Generator().manual_seed(seed)
        weight = torch.randn(units, x.shape[1], generator=draw, dtype=x.dtype)
        z = x @ weight.T * (sigma**2 / x.shape[1]) - beta
        found.append(int((z <= 0).all(dim=0).sum()))
    return found
