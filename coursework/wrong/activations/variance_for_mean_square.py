"""A variance wherever the chapter has a mean square, because a signal's strength is its variance.

points gaussian-test 4
points signals-test 3
mistake a variance for the mean square
"""


# %% gaussian
def gaussian_mean(f, mean=0.0, std=1.0, kinks=()):
    if std < 0:
        raise ValueError(f"std must be at least 0, got {std}")
    if std == 0:
        return float(f(torch.tensor([mean], dtype=torch.float64)))
    cuts = [(kink - mean) / std for kink in kinks]
    edges = np.unique([*range(-12, 13), *(cut for cut in cuts if abs(cut) < 12)])
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = np.diff(edges)[:, None] / 2
    t = edges[:-1, None] + half * (nodes + 1)
    density = np.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
    return float((f(torch.from_numpy(mean + std * t)).numpy() * density * half * weights).sum())


def gain(phi, kinks=()):
    square = gaussian_mean(lambda z: phi(z) ** 2, kinks=kinks)
    return 1 / math.sqrt(square - gaussian_mean(phi, kinks=kinks) ** 2)


# %% signals
def random_layers(channels, sigma_w2, sigma_b2, seed):
    draw = torch.Generator().manual_seed(seed)
    layers = []
    for c_in, c_out in zip(channels, channels[1:], strict=False):
        weight = math.sqrt(sigma_w2 / (9 * c_in)) * torch.randn(c_out, c_in, 3, 3, generator=draw)
        layers.append((weight, math.sqrt(sigma_b2) * torch.randn(c_out, generator=draw)))
    return layers


def signals(x, layers, phi):
    a, squares = x, []
    for weight, bias in layers:
        z = F.conv2d(F.pad(a, (1, 1, 1, 1), mode="circular"), weight, bias)
        squares.append(z.var(dim=(1, 2, 3), correction=0))
        a = phi(z)
    return torch.stack(squares)
