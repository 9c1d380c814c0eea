"""The average is linear, so autograd of one's own forward pass gives its way back.

points average-test 2.5
mistake autograd in place of the derivation
"""


# %% average
def avg_pool2d(x, k, stride=None, padding=0, count_include_pad=True):
    stride = k if stride is None else stride
    inside = F.pad(torch.ones_like(x), [padding] * 4, value=float(count_include_pad))
    sums, counts = (
        t.unfold(2, k, stride).unfold(3, k, stride).sum(dim=(4, 5))
        for t in (F.pad(x, [padding] * 4), inside)
    )
    return sums / counts


def avg_pool2d_backward(g, size, k, stride=None, padding=0, count_include_pad=True):
    x = torch.zeros(*g.shape[:2], *size, dtype=g.dtype, requires_grad=True)
    with torch.enable_grad():
        z = avg_pool2d(x, k, stride, padding, count_include_pad)
    z.backward(g)
    return x.grad
