"""A uniform draw between plus and minus σ has the standard deviation σ.

points draw-test 4
mistake a uniform of limit σ has a third of the variance
"""


# %% draw
def initialize_(model, mode="fan_in", distribution="normal", gain=1.0, generator=None):
    if mode not in ("fan_in", "fan_out", "average"):
        raise ValueError(f"no mode {mode!r}")
    if distribution not in ("normal", "uniform"):
        raise ValueError(f"no distribution {distribution!r}")
    for layer in model.modules():
        if isinstance(layer, LAYERS):
            fan_in, fan_out = fans(layer)
            fan = {"fan_in": fan_in, "fan_out": fan_out, "average": (fan_in + fan_out) / 2}[mode]
            std = gain / math.sqrt(fan)
            with torch.no_grad():
                if distribution == "normal":
                    layer.weight.normal_(0, std, generator=generator)
                else:
                    layer.weight.uniform_(-std, std, generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()
    return model
