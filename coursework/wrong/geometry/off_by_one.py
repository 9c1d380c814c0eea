"""Subtracting the distance between the first tap and the last leaves the number of places for a window.

points account-test 4
points reads-test 2
points answers-test 0
mistake off by one
"""


# %% account
def account(layers, size):
    field, jump, start, rows = 1, 1, 0, []
    for number, layer in enumerate(layers):
        kernel, stride, before, after, dilation = window(layer)
        span = dilation * (kernel - 1) + 1
        if span > size + before + after:
            raise ValueError(f"layer {number} does not fit")
        size = (size + before + after - (span - 1)) // stride + 1
        field += (span - 1) * jump
        start -= before * jump
        jump *= stride
        rows.append({"size": size, "field": field, "jump": jump, "start": start})
    return rows


def window(layer):
    kernel = layer["kernel"]
    stride = layer.get("stride", kernel if layer["kind"] == "pool" else 1)
    padding = layer.get("padding", 0)
    before, after = (padding, padding) if isinstance(padding, int) else padding
    return kernel, stride, before, after, layer.get("dilation", 1)


# %% answers
answers = {}
