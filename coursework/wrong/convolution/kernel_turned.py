"""A true convolution, with the kernel turned around, where networks compute a cross-correlation.

points conv2d-test 2
mistake the kernel is turned around
"""


# %% conv2d
def conv2d(x, weight, bias=None, stride=1, padding=0):
    if x.shape[1] != weight.shape[1]:
        raise ValueError(f"x has {x.shape[1]} channels, weight asks for {weight.shape[1]}")
    padded = torch.nn.functional.pad(x, [padding] * 4)
    windows = padded.unfold(2, weight.shape[2], stride).unfold(3, weight.shape[3], stride)
    z = torch.einsum("ncijuv,ocuv->noij", windows, weight.flip(2, 3))
    return z if bias is None else z + bias[:, None, None]
