"""Calling PyTorch's sigmoid, in the belief that only the product with z was to be written.

points swish-test 0
mistake copies PyTorch's function where forbidden
"""


# %% swish
class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, beta):
        ctx.save_for_backward(z, beta)
        return z * torch.sigmoid(beta.reshape(-1, *[1] * (z.ndim - 2)) * z)

    @staticmethod
    def backward(ctx, g):
        z, beta = ctx.saved_tensors
        u = beta.reshape(-1, *[1] * (z.ndim - 2)) * z
        s, rest = torch.sigmoid(u), torch.sigmoid(-u)
        others = [axis for axis in range(z.ndim) if axis != 1]
        return g * (s + u * s * rest), (g * z * (z * s * rest)).sum(dim=others)
