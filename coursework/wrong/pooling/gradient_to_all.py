"""The gradient of a window goes to all of its pixels, since all took part in it.

points average-test 2.5
mistake the whole gradient to every pixel
"""


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
    shares = g
    (height, width), (rows, columns) = size, g.shape[2:]
    padded = g.new_zeros(*g.shape[:2], height + 2 * padding, width + 2 * padding)
    for u in range(k):
        for v in range(k):
            padded[
                ...,
                u : u + stride * rows : stride,
                v : v + stride * columns : stride,
            ] += shares
    return padded[..., padding : padding + height, padding : padding + width].clone()


def _divisors(like, size, k, stride, padding, count_include_pad):
    """Return how many pixels each window counts, (rows, columns), in the dtype of ``like``."""
    counted = F.pad(like.new_ones(*size), [padding] * 4, value=float(count_include_pad))
    return counted.unfold(0, k, stride).unfold(1, k, stride).sum(dim=(2, 3))
