"""Gauss–Hermite with many nodes, in the belief that nodes enough make kinks harmless.

points gaussian-test 2.5
mistake a quadrature across a kink
mistake too coarse a quadrature
"""


# %% gaussian
def gaussian_mean(f, mean=0.0, std=1.0, kinks=()):
    if std < 0:
        raise ValueError(f"std must be at least 0, got {std}")
    nodes, weights = np.polynomial.hermite.hermgauss(100)
    z = torch.from_numpy(mean + std * math.sqrt(2) * nodes)
    return float((torch.from_numpy(weights) * f(z)).sum() / math.sqrt(math.pi))


def gain(phi, kinks=()):
    return 1 / math.sqrt(gaussian_mean(lambda z: phi(z) ** 2, kinks=kinks))
