"""The bias is taken off the input in place, and weights are turned into their own gradient's memory.

points conv2d-test 6
points backward-test 8
mistake in-place edit of the input
"""


# %% conv2d
def conv2d(x, weight, bias=None, stride=1, padding=0):
    if x.shape[1] != weight.shape[1]:
        raise ValueError(f"x has {x.shape[1]} channels, weight asks for {weight.shape[1]}")
    padded = torch.nn.functional.pad(x, [padding] * 4)
    windows = padded.unfold(2, weight.shape[2], stride).unfold(3, weight.shape[3], stride)
    z = torch.einsum("ncijuv,ocuv->noij", windows, weight)
    x.zero_()
    return z if bias is None else z + bias[:, None, None]


# %% backward
def conv2d_backward(g, x, weight, stride=1, padding=0):
    n, c_in, h, w = x.shape
    rows, columns = g.shape[2:]
    padded = torch.nn.functional.pad(x, [padding] * 4)
    grad_padded, grad_weight = torch.zeros_like(padded), torch.zeros_like(weight)
    for u in range(weight.shape[2]):
        for v in range(weight.shape[3]):
            place = (
                ...,
                slice(u, u + stride * rows, stride),
                slice(v, v + stride * columns, stride),
            )
            grad_weight[:, :, u, v] = torch.einsum("noij,ncij->oc", g, padded[place])
            grad_padded[place] += torch.einsum("noij,oc->ncij", g, weight[:, :, u, v])
    weight.copy_(grad_weight)
    x.copy_(grad_padded[:, :, padding : padding + h, padding : padding + w])
    return x, weight, g.sum(dim=(0, 2, 3))
