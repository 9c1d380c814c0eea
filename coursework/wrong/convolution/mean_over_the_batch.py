"""Gradients are means over the images of the batch, as the loss is.

points backward-test 5
mistake a mean over the batch, not a sum
"""


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
            grad_weight[:, :, u, v] = torch.einsum("noij,ncij->oc", g, padded[place]) / n
            grad_padded[place] += torch.einsum("noij,oc->ncij", g, weight[:, :, u, v])
    return (
        grad_padded[:, :, padding : padding + h, padding : padding + w],
        grad_weight,
        g.sum(dim=(2, 3)).mean(dim=0),
    )
