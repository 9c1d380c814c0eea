"""On the way back the mean and the deviation are numbers, as in evaluation mode.

points back-test 1.5
mistake mean and deviation are taken as constants
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
    grad = (g * gamma.view(side)).reshape(hat.shape) / root
    return grad.reshape(shape), (g * hat.reshape(shape)).sum(unit), g.sum(unit)
