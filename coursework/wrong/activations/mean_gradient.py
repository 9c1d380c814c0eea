"""A mean over the batch for beta's gradient, because a loss is a mean over the batch.

points swish-test 4.5
mistake a mean over the batch, not a sum
"""


# %% swish
class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, beta):
        ctx.save_for_backward(z, beta)
        return z * Swish.sigmoids(z, beta)[1]

    @staticmethod
    def sigmoids(z, beta):
        u = z * beta.reshape(-1, *[1] * (z.ndim - 2))
        small = torch.exp(-u.abs())
        large, little = 1 / (1 + small), small / (1 + small)
        return u, torch.where(u >= 0, large, little), torch.where(u >= 0, little, large)

    @staticmethod
    def backward(ctx, g):
        z, beta = ctx.saved_tensors
        u, s, rest = Swish.sigmoids(z, beta)
        each = g * (z * (z * s * rest))
        each = each.flatten(2).sum(dim=2) if z.ndim > 2 else each
        return g * (s + u * s * rest), each.mean(dim=0)
