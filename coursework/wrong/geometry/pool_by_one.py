"""A pooling without a stride moves by one pixel, as a convolution does.

points account-test 2
mistake a pooling moves by one pixel
"""


# %% account
def account(layers, size):
    field, jump, start, rows = 1, 1, 0, []
    for number, layer in enumerate(layers):
        kernel, stride, before, after, dilation = window(layer)
        span = dilation * (kernel - 1) + 1
        if span > size + before + after:
            raise ValueError(f"layer {number} does not fit")
        size = (size + before + after - span) // stride + 1
        field += (span - 1) * jump
        start -= before * jump
        jump *= stride
        rows.append({"size": size, "field": field, "jump": jump, "start": start})
    return rows


def window(layer):
    kernel = layer["kernel"]
    stride = layer.get("stride", 1)
    padding = layer.get("padding", 0)
    before, after = (padding, padding) if isinstance(padding, int) else padding
    return kernel, stride, before, after, layer.get("dilation", 1)
