"""The input's gradient is the output's gradient, correlated with the kernel as it stands.

points backward-test 5
mistake the kernel is turned around
"""


# %% backward
def conv2d_backward(g, x, weight, stride=1, padding=0):
    n, c_in, h, w = x.shape
    k_h, k_w = weight.shape[2:]
    rows, columns = g.shape[2:]
    padded = torch.nn.functional.pad(x, [padding] * 4)
    grad_weight = torch.zeros_like(weight)
    spread = g.new_zeros(n, g.shape[1], h + 2 * padding + k_h - 1, w + 2 * padding + k_w - 1)
    for i in range(rows):
        for j in range(columns):
            spread[:, :, k_h - 1 + i * stride, k_w - 1 + j * stride] = g[:, :, i, j]
    for u in range(k_h):
        for v in range(k_w):
            place = (
                ...,
                slice(u, u + stride * rows, stride),
                slice(v, v + stride * columns, stride),
            )
            grad_weight[:, :, u, v] = torch.einsum("noij,ncij->oc", g, padded[place])
    windows = spread.unfold(2, k_h, 1).unfold(3, k_w, 1)
    grad_padded = torch.einsum("noijuv,ocuv->ncij", windows, weight)
    return (
        grad_padded[:, :, padding : padding + h, padding : padding + w],
        grad_weight,
        g.sum(dim=(0, 2, 3)),
    )
