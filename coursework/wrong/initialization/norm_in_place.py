"""A norm may work in place and save memory, as nobody needs the old values.

points norm-test 4.5
points back-test 4.5
mistake in-place edit of the input
"""


# %% norm
def batch_norm(z, gamma, beta, running_mean, running_var, training=True, momentum=0.1, eps=1e-5):
    axes = [axis for axis in range(z.dim()) if axis != 1]
    side = (1, -1, *[1] * (z.dim() - 2))
    entries = z.numel() // z.shape[1]
    if training:
        if entries < 2:
            raise ValueError("one entry has no deviation")
        mean, var = z.mean(axes), z.var(axes, correction=0)
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(var * entries / (entries - 1), momentum)
    else:
        mean, var = running_mean, running_var
    z -= mean.view(side)
    z /= torch.sqrt(var.view(side) + eps)
    return gamma.view(side) * z + beta.view(side)


# %% back
def norm_backward(g, z, gamma, groups=None, eps=1e-5):
    unit = [axis for axis in range(z.dim()) if axis != 1]
    grad_beta, side = g.sum(unit), (1, -1, *[1] * (z.dim() - 2))
    shape, axes = z.shape, unit
    hat = z
    if groups is not None:
        hat, axes = z.view(len(z), groups, -1), [2]
    var, mean = torch.var_mean(hat, axes, correction=0, keepdim=True)
    root = torch.sqrt(var + eps)
    hat -= mean
    hat /= root
    grad_gamma = (g * hat.view(shape)).sum(unit)
    g *= gamma.view(side)
    slope = g.view(hat.shape)
    grad = slope - slope.mean(axes, keepdim=True) - hat * (slope * hat).mean(axes, keepdim=True)
    return (grad / root).view(shape), grad_gamma, grad_beta
