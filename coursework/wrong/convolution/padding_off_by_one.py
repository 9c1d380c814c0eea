"""Padding by p adds p - 1 rows and columns on every side, since the first row lies on the border.

points conv2d-test 4.5
mistake padding is off by one
"""


# %% conv2d
def conv2d(x, weight, bias=None, stride=1, padding=0):
    if x.shape[1] != weight.shape[1]:
        raise ValueError(f"x has {x.shape[1]} channels, weight asks for {weight.shape[1]}")
    if padding:
        x = torch.nn.functional.pad(x, [padding - 1] * 4)
    windows = x.unfold(2, weight.shape[2], stride).unfold(3, weight.shape[3], stride)
    z = torch.einsum("ncijuv,ocuv->noij", windows, weight)
    return z if bias is None else z + bias[:, None, None]
