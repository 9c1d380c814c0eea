"""Blur and max pooling are two layers, and the blur goes behind the pooling as it is.

points swap-test 0
mistake blurred after pixels are dropped
"""


# %% swap
def anti_aliased(model, taps=3):
    """Return a copy of a network whose max poolings blur, by that many taps, before they drop."""
    model = copy.deepcopy(model)
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if isinstance(module, nn.MaxPool2d) and module.stride > 1:
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, MaxBlurPool(module, taps))
    return model


class MaxBlurPool(nn.Module):
    """A max pooling that looks at every position, and blurs before it keeps every stride-th."""

    def __init__(self, pool, taps):
        super().__init__()
        self.dense = pool
        self.taps, self.stride = taps, pool.stride

    def forward(self, x):
        return blur_pool(self.dense(x), self.taps, 1)
