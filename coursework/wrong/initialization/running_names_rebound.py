"""An assignment to an argument changes what the caller passed.

points norm-test 4
mistake the running statistics are not changed in place
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
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_var = (1 - momentum) * running_var + momentum * z.var(axes)
    else:
        mean, var = running_mean, running_var
    hat = (z - mean.view(side)) / torch.sqrt(var.view(side) + eps)
    return gamma.view(side) * hat + beta.view(side)
