"""Kinks taken for places under the standard bell, though they are places of z.

points gaussian-test 3.5
mistake a quadrature across a kink
"""


# %% gaussian
def gaussian_mean(f, mean=0.0, std=1.0, kinks=()):
    if std < 0:
        raise ValueError(f"std must be at least 0, got {std}")
    edges = np.unique([*range(-12, 13), *(kink for kink in kinks if abs(kink) < 12)])
    nodes, weights = np.polynomial.legendre.leggauss(20)
    total = 0.0
    for low, high in zip(edges, edges[1:], strict=False):
        t = low + (high - low) / 2 * (nodes + 1)
        density = np.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
        values = f(torch.from_numpy(mean + std * t)).numpy()
        total += (high - low) / 2 * (weights * density * values).sum()
    return float(total)


def gain(phi, kinks=()):
    return 1 / math.sqrt(gaussian_mean(lambda z: phi(z) ** 2, kinks=kinks))
