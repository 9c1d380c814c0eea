"""The textbook formula, in the belief that a right formula is a right program.

points swish-test 4.5
mistake overflow
mistake the difference 1 − σ cancels
"""


# %% swish
class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, beta):
        u = beta.reshape(-1, *[1] * (z.ndim - 2)) * z
        s = torch.exp(u) / (1 + torch.exp(u))
        ctx.save_for_backward(z, u, s)
        return z * s

    @staticmethod
    def backward(ctx, g):
        z, u, s = ctx.saved_tensors
        others = [axis for axis in range(z.ndim) if axis != 1]
        return g * s * (1 + u * (1 - s)), (g * z**2 * s * (1 - s)).sum(dim=others)
