"""Padding moves the fields by as many pixels of the image as it adds to the layer's input.

points account-test 5.5
points answers-test 3
mistake padding is counted in the layer's own pixels
mistake all positions, padding or not
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
        start -= before
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
tables = {side: account(STACK, IMAGE[side]) for side in ("height", "width")}
parameters, products, channels = 0, 0, IMAGE["channels"]
for number, layer in enumerate(STACK):
    if layer["kind"] == "conv":
        fan_in = channels // layer["groups"] * layer["kernel"] ** 2
        channels = layer["channels"]
        positions = tables["height"][number]["size"] * tables["width"][number]["size"]
        parameters += channels * (fan_in + 1)
        products += channels * positions * fan_in
answers = {
    "height": tables["height"][-1]["size"],
    "width": tables["width"][-1]["size"],
    "field": tables["height"][-1]["field"],
    "parameters": parameters,
    "multiply-adds": products,
    "clean": tables["height"][-1]["size"] * tables["width"][-1]["size"],
}
