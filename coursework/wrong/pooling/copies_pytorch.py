"""PyTorch has all of this, and its answers are right.

points max-test 0.5
points average-test 0.5
mistake copies PyTorch's function where forbidden
"""


# %% maximum
def max_pool2d(x, k, stride=None, padding=0):
    if 2 * padding > k:
        raise ValueError(f"padding must be at most half the window of {k}, got {padding}")
    return F.max_pool2d(x, k, stride, padding, return_indices=True)


def max_pool2d_backward(g, winners, size):
    return F.max_unpool2d(g, winners, 1, output_size=tuple(size))


# %% average
def avg_pool2d(x, k, stride=None, padding=0, count_include_pad=True):
    return F.avg_pool2d(x, k, stride, padding, count_include_pad=count_include_pad)


def avg_pool2d_backward(g, size, k, stride=None, padding=0, count_include_pad=True):
    x = g.new_zeros(*g.shape[:2], *size, requires_grad=True)
    z = F.avg_pool2d(x, k, stride, padding, count_include_pad=count_include_pad)
    return torch.autograd.grad(z, x, g)[0]
