"""Batch norm takes its statistics over the batch, and every position has its own.

points norm-test 3
mistake statistics of each position by itself
"""


# %% norm
def batch_norm(z, gamma, beta, running_mean, running_var, training=True, momentum=0.1, eps=1e-5):
    if training:
        if z.numel() == z.shape[1]:
            raise ValueError("one entry has no deviation")
        mean, var = z.mean(0, keepdim=True), z.var(0, correction=0, keepdim=True)
        axes = [axis for axis in range(z.dim()) if axis != 1]
        running_mean += momentum * (z.mean(axes) - running_mean)
        running_var += momentum * (z.var(axes) - running_var)
    else:
        mean, var = (t.view(1, -1, *[1] * (z.dim() - 2)) for t in (running_mean, running_var))
    scale, shift = (t.view(1, -1, *[1] * (z.dim() - 2)) for t in (gamma, beta))
    return scale * (z - mean) / torch.sqrt(var + eps) + shift
