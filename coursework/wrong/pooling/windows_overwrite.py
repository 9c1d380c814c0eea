"""A pixel gets the gradient of its window, so it can be written where it belongs.

points max-test 6
points average-test 3.5
mistake windows overwrite each other
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
    row = torch.arange(z.shape[2])[:, None] * stride + place // k - padding
    column = torch.arange(z.shape[3]) * stride + place % k - padding
    return z, row * x.shape[3] + column


def max_pool2d_backward(g, winners, size):
    """Return ∂L/∂x (N, C, H, W).

    Args:
        g: ∂L/∂z, (N, C, rows, columns).
        winners: As max_pool2d returned them.
        size: (H, W) of the image.
    """
    height, width = size
    grad_x = g.new_zeros(*g.shape[:2], height * width)
    grad_x.scatter_(2, winners.flatten(2), g.flatten(2))
    return grad_x.unflatten(2, (height, width))


# %% average
def avg_pool2d(x, k, stride=None, padding=0, count_include_pad=True):
    """Return the mean of each window of x (N, C, H, W).

    Args:
        k: Height and width of the window.
        stride: Step between windows, the same on both axes; None for k.
        padding: Rows and columns of zeros on every side.
        count_include_pad: Whether those zeros count in the mean's divisor.
    """
    stride = k if stride is None else stride
    padded = F.pad(x, [padding] * 4)
    sums = padded.unfold(2, k, stride).unfold(3, k, stride).sum(dim=(4, 5))
    return sums / _divisors(x, x.shape[2:], k, stride, padding, count_include_pad)


def avg_pool2d_backward(g, size, k, stride=None, padding=0, count_include_pad=True):
    """Return ∂L/∂x (N, C, H, W) for g = ∂L/∂z, with size = (H, W), the rest as in avg_pool2d."""
    stride = k if stride is None else stride
    shares = g / _divisors(g, size, k, stride, padding, count_include_pad)
    (height, width), (rows, columns) = size, g.shape[2:]
    padded = g.new_zeros(*g.shape[:2], height + 2 * padding, width + 2 * padding)
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            padded[..., top : top + k, left : left + k] = shares[..., i : i + 1, j : j + 1]
    return padded[..., padding : padding + height, padding : padding + width].clone()


def _divisors(like, size, k, stride, padding, count_include_pad):
    """Return how many pixels each window counts, (rows, columns), in the dtype of ``like``."""
    counted = F.pad(like.new_ones(*size), [padding] * 4, value=float(count_include_pad))
    return counted.unfold(0, k, stride).unfold(1, k, stride).sum(dim=(2, 3))
