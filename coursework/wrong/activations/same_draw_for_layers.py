"""PyTorch seeded anew for every layer, in the belief that this makes a network repeatable.

points signals-test 4
mistake one draw for all layers
"""


# %% signals
def random_layers(channels, sigma_w2, sigma_b2, seed):
    layers = []
    for c_in, c_out in zip(channels, channels[1:], strict=False):
        torch.manual_seed(seed)
        weight = math.sqrt(sigma_w2 / (9 * c_in)) * torch.randn(c_out, c_in, 3, 3)
        layers.append((weight, math.sqrt(sigma_b2) * torch.randn(c_out)))
    return layers


def signals(x, layers, phi):
    squares = []
    for weight, bias in layers:
        z = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), weight, bias)
        squares.append(z.square().mean(dim=(1, 2, 3)))
        x = phi(z)
    return torch.stack(squares)
