"""The zeros that "same" padding adds depend on the window alone.

points back-test 3.5
mistake the stride is ignored
"""


# %% back
def same_padding(size, kernel, stride=1, dilation=1):
    total = dilation * (kernel - 1)
    return total // 2, total - total // 2


def decoder(layers, size):
    sizes = [size, *(row["size"] for row in account(layers, size))]
    back = []
    for layer, wide, narrow in zip(layers, sizes, sizes[1:]):
        kernel, stride, padding, _, dilation = window(layer)
        least = (narrow - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1
        step = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        back.insert(0, {**step, "output_padding": wide - least})
    return back
