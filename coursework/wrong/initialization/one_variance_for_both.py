"""There is one variance: the one that normalises is also the one that runs, and var() computes it.

points norm-test 3
mistake the unbiased variance normalises
"""


# %% norm
def batch_norm(z, gamma, beta, running_mean, running_var, training=True, momentum=0.1, eps=1e-5):
    axes = [axis for axis in range(z.dim()) if axis != 1]
    side = (1, -1, *[1] * (z.dim() - 2))
    entries = z.numel() // z.shape[1]
    if training:
        if entries < 2:
            raise ValueError("one entry has no deviation")
        mean, var = z.mean(axes), z.var(axes)
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(var, momentum)
    else:
        mean, var = running_mean, running_var
    hat = (z - mean.view(side)) / torch.sqrt(var.view(side) + eps)
    return gamma.view(side) * hat + beta.view(side)
