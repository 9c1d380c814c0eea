"""One gradient for all channels, in the belief that beta is one number repeated.

points swish-test 3.5
mistake one gradient for all channels
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
        return g * (s + u * s * rest), (g * (z * (z * s * rest))).sum().repeat(len(beta))
