"""PyTorch has these functions, with all cases thought of, so one calls them.

points norm-test 1
points back-test 0.5
mistake copies PyTorch's function where forbidden
mistake autograd in place of the derivation
"""


# %% norm
def batch_norm(z, gamma, beta, running_mean, running_var, training=True, momentum=0.1, eps=1e-5):
    return F.batch_norm(z, running_mean, running_var, gamma, beta, training, momentum, eps)


# %% back
def norm_backward(g, z, gamma, groups=None, eps=1e-5):
    z, gamma = z.detach().clone().requires_grad_(), gamma.detach().clone().requires_grad_()
    beta = torch.zeros_like(gamma).requires_grad_()
    axes, side, entries = [0, *range(2, z.dim())], (1, -1, *[1] * (z.dim() - 2)), z
    if groups is not None:
        entries, axes = z.reshape(len(z), groups, -1), [2]
    var, mean = torch.var_mean(entries, axes, correction=0, keepdim=True)
    hat = ((entries - mean) / torch.sqrt(var + eps)).reshape(z.shape)
    y = gamma.view(side) * hat + beta.view(side)
    return torch.autograd.grad(y, [z, gamma, beta], g)
