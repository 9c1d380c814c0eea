"""A difference to one side is a derivative as good as the one to both.

points numerical-test 0
mistake a one-sided difference
mistake a one-sided difference, or a poor step
"""


# %% numerical
def numerical_gradient(f, x, step=None):
    step = 1e-5 if step is None else step
    grad = torch.zeros_like(x)
    for k in range(x.numel()):
        shift = torch.zeros_like(x)
        shift.view(-1)[k] = step
        grad.view(-1)[k] = (float(f(x + shift)) - float(f(x))) / step
    return grad
