"""A seed belongs into each layer's draw, so that results can be repeated.

points draw-test 4
mistake every layer gets the same draws
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
            source = torch.Generator().manual_seed(generator.initial_seed() if generator else 0)
            with torch.no_grad():
                if distribution == "normal":
                    layer.weight.normal_(0, std, generator=source)
                else:
                    limit = math.sqrt(3) * std
                    layer.weight.uniform_(-limit, limit, generator=source)
                if layer.bias is not None:
                    layer.bias.zero_()
    return model
