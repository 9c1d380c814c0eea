"""A kernel of a convolution reads all channels, so the blur shares its weight among them.

points blur-test 1.5
points swap-test 1
mistake channels are mixed
"""


# %% blur
def blur_pool(x, taps=3, stride=2, mode="reflect"):
    """Blur each channel of x (N, C, H, W) by a binomial filter, and keep every stride-th pixel.

    Args:
        taps: Taps of the filter along each axis, odd.
        stride: Step between the pixels that are kept, the first of them at (0, 0).
        mode: "reflect" or "circular", what lies beyond the border.

    Returns:
        Images (N, C, ceil(H / stride), ceil(W / stride)).

    Raises:
        ValueError: If taps is even: the filter would have no middle.
    """
    if taps % 2 == 0:
        raise ValueError(f"taps must be odd, got {taps}")
    row = x.new_ones(1)
    for _ in range(taps - 1):  # one more row of Pascal's triangle, halved
        row = (F.pad(row, (0, 1)) + F.pad(row, (1, 0))) / 2
    channels = x.shape[1]
    weight = torch.outer(row, row).expand(channels, channels, taps, taps) / channels
    around = [taps // 2] * 4
    return F.conv2d(F.pad(x, around, mode=mode), weight, stride=stride)
