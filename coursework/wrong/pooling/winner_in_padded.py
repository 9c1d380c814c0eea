"""Places are counted in the array that the windows were cut from, padding and all.

points max-test 6
mistake winners are counted in the padded image
"""


# %% maximum
def max_pool2d(x, k, stride=None, padding=0):
    """Return the maximum of each window of x (N, C, H, W), and where it stood.

    Args:
        k: Height and width of the window.
        stride: Step between windows, the same on both axes; None for k.
        padding: Rows and columns on every side that never win.

    Returns:
        z (N, C, rows, columns), and winners of the same shape, dtype torch.int64.

    Raises:
        ValueError: If padding is more than half of k.
    """
    if 2 * padding > k:
        raise ValueError(f"padding must be at most half the window of {k}, got {padding}")
    stride = k if stride is None else stride
    padded = F.pad(x, [padding] * 4, value=-torch.inf)
    windows = padded.unfold(2, k, stride).unfold(3, k, stride).flatten(4)
    z, place = windows.max(dim=4)  # the first in reading order, where several are equal
    row = torch.arange(z.shape[2])[:, None] * stride + place // k
    column = torch.arange(z.shape[3]) * stride + place % k
    return z, row * padded.shape[3] + column


def max_pool2d_backward(g, winners, size):
    """Return ∂L/∂x (N, C, H, W).

    Args:
        g: ∂L/∂z, (N, C, rows, columns).
        winners: As max_pool2d returned them.
        size: (H, W) of the image.
    """
    height, width = size
    grad_x = g.new_zeros(*g.shape[:2], height * width)
    grad_x.scatter_add_(2, winners.flatten(2), g.flatten(2))
    return grad_x.unflatten(2, (height, width))
