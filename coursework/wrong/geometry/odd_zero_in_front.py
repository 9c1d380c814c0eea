"""The padding that is left over stands before the image.

points back-test 2.5
mistake the odd zero stands in front
"""


# %% back
def same_padding(size, kernel, stride=1, dilation=1):
    total = max((math.ceil(size / stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return math.ceil(total / 2), total // 2


import math


def decoder(layers, size):
    sizes = [size, *(row["size"] for row in account(layers, size))]
    back = []
    for layer, wide, narrow in zip(layers, sizes, sizes[1:]):
        kernel, stride, padding, _, dilation = window(layer)
        least = (narrow - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1
        step = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        back.insert(0, {**step, "output_padding": wide - least})
    return back
