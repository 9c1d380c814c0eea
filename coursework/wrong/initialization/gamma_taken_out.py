"""The scale γ is a factor of the whole norm, and so of its gradient.

points back-test 3.5
mistake γ is applied behind the means, not before
"""


# %% back
def norm_backward(g, z, gamma, groups=None, eps=1e-5):
    unit = [axis for axis in range(z.dim()) if axis != 1]
    side, shape, axes, entries = (1, -1, *[1] * (z.dim() - 2)), z.shape, unit, z
    if groups is not None:
        entries, axes = z.reshape(len(z), groups, -1), [2]
    var, mean = torch.var_mean(entries, axes, correction=0, keepdim=True)
    root = torch.sqrt(var + eps)
    hat = (entries - mean) / root
    slope = g.reshape(hat.shape)
    grad = slope - slope.mean(axes, keepdim=True) - hat * (slope * hat).mean(axes, keepdim=True)
    grad = gamma.view(side) * (grad / root).reshape(shape)
    return grad, (g * hat.reshape(shape)).sum(unit), g.sum(unit)
