"""Padding between two layers continues the line below it, so only the image's border cuts a field.

points reads-test 3
mistake padding is taken for units
"""


# %% reads
def reads(layers, size, units=None):
    count = account(layers, size)[-1]["size"]
    seen = set(range(count)) if units is None else set(units)
    for unit in seen:
        if not 0 <= unit < count:
            raise ValueError(f"no unit {unit}")
    for layer in layers[::-1]:
        kernel, stride, before, _, dilation = window(layer)
        seen = {i * stride - before + q * dilation for i in seen for q in range(kernel)}
    return sorted(pixel for pixel in seen if 0 <= pixel < size)
