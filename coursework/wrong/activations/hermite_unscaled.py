"""Gauss–Hermite's nodes used as they are, in the belief that its weight is the normal density.

points gaussian-test 0.5
points settle-test 3
mistake Gauss–Hermite without the √2
"""


# %% gaussian
def gaussian_mean(f, mean=0.0, std=1.0, kinks=()):
    if std < 0:
        raise ValueError(f"std must be at least 0, got {std}")
    nodes, weights = np.polynomial.hermite.hermgauss(100)
    z = torch.from_numpy(mean + std * nodes)
    return float((torch.from_numpy(weights) * f(z)).sum() / math.sqrt(math.pi))


def gain(phi, kinks=()):
    return 1 / math.sqrt(gaussian_mean(lambda z: phi(z) ** 2, kinks=kinks))
