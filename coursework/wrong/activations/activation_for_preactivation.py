"""The mean square of a, in the belief that the recursion speaks of what a layer passes on.

points signals-test 3
mistake the activation's mean square, not z's
"""


# %% signals
def random_layers(channels, sigma_w2, sigma_b2, seed):
    draw = torch.Generator().manual_seed(seed)
    layers = []
    for c_in, c_out in zip(channels, channels[1:], strict=False):
        weight = math.sqrt(sigma_w2 / (9 * c_in)) * torch.randn(c_out, c_in, 3, 3, generator=draw)
        layers.append((weight, math.sqrt(sigma_b2) * torch.randn(c_out, generator=draw)))
    return layers


def signals(x, layers, phi):
    squares = []
    for weight, bias in layers:
        x = phi(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), weight, bias))
        squares.append(x.square().mean(dim=(1, 2, 3)))
    return torch.stack(squares)
