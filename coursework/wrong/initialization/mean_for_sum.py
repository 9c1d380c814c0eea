"""The loss is a mean over the batch, so the gradients of scale and shift are means, too.

points back-test 2.5
mistake a mean over the entries, not a sum
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
    slope = (g * gamma.view(side)).reshape(hat.shape)
    grad = slope - slope.mean(axes, keepdim=True) - hat * (slope * hat).mean(axes, keepdim=True)
    return (grad / root).reshape(shape), (g * hat.reshape(shape)).mean(unit), g.mean(unit)
