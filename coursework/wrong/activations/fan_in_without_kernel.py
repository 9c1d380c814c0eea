"""fan_in taken for the input's channels, in the belief that the kernel's taps share one weight.

points signals-test 3.5
mistake the kernel's nine taps are not counted
"""


# %% signals
def random_layers(channels, sigma_w2, sigma_b2, seed):
    draw = torch.Generator().manual_seed(seed)
    layers = []
    for c_in, c_out in zip(channels, channels[1:], strict=False):
        weight = math.sqrt(sigma_w2 / c_in) * torch.randn(c_out, c_in, 3, 3, generator=draw)
        layers.append((weight, math.sqrt(sigma_b2) * torch.randn(c_out, generator=draw)))
    return layers


def signals(x, layers, phi):
    squares = []
    for weight, bias in layers:
        z = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), weight, bias)
        squares.append(z.square().mean(dim=(1, 2, 3)))
        x = phi(z)
    return torch.stack(squares)
