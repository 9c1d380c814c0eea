"""Momentum is, as in an optimizer, the share of the old value that is kept.

points norm-test 4
mistake the momentum is the share that is kept
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
        running_mean.copy_(momentum * running_mean + (1 - momentum) * mean)
        unbiased = var * entries / (entries - 1)
        running_var.copy_(momentum * running_var + (1 - momentum) * unbiased)
    else:
        mean, var = running_mean, running_var
    hat = (z - mean.view(side)) / torch.sqrt(var.view(side) + eps)
    return gamma.view(side) * hat + beta.view(side)
