"""A blur is an average of neighbours, all with the same weight.

points blur-test 0.5
points swap-test 0
mistake a box, not a binomial filter
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
    row = x.new_ones(taps) / taps
    channels = x.shape[1]
    weight = torch.outer(row, row).expand(channels, 1, taps, taps)
    around = [taps // 2] * 4
    return F.conv2d(F.pad(x, around, mode=mode), weight, stride=stride, groups=channels)
