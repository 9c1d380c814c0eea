"""The windows lie side by side at every pixel; a stride only changes how the answer is read later.

points conv2d-test 4.5
mistake stride is ignored
"""


# %% conv2d
def conv2d(x, weight, bias=None, stride=1, padding=0):
    if x.shape[1] != weight.shape[1]:
        raise ValueError(f"x has {x.shape[1]} channels, weight asks for {weight.shape[1]}")
    padded = torch.nn.functional.pad(x, [padding] * 4)
    windows = padded.unfold(2, weight.shape[2], 1).unfold(3, weight.shape[3], 1)
    z = torch.einsum("ncijuv,ocuv->noij", windows, weight)
    return z if bias is None else z + bias[:, None, None]
