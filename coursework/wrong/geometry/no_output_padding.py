"""A transposed convolution with the same numbers returns to the size that its partner has read.

points back-test 2.5
mistake output_padding is left out
"""


# %% back
def same_padding(size, kernel, stride=1, dilation=1):
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2


def decoder(layers, size):
    back = []
    for layer in layers[::-1]:
        kernel, stride, padding, _, dilation = window(layer)
        step = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        back.append({**step, "output_padding": 0})
    return back
