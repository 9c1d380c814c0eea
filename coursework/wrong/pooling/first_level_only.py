"""All layers of a network stand in one list, each of them once.

points swap-test 2
mistake poolings in nested modules are missed
mistake a pooling used twice is replaced once
"""


# %% swap
def anti_aliased(model, taps=3):
    """Return a copy of a network whose max poolings blur, by that many taps, before they drop."""
    model = copy.deepcopy(model)
    for name, module in list(model.named_children()):
        if isinstance(module, nn.MaxPool2d) and module.stride > 1:
            setattr(model, name, MaxBlurPool(module, taps))
    return model


class MaxBlurPool(nn.Module):
    """A max pooling that looks at every position, and blurs before it keeps every stride-th."""

    def __init__(self, pool, taps):
        super().__init__()
        self.dense = nn.MaxPool2d(pool.kernel_size, 1, pool.padding)
        self.taps, self.stride = taps, pool.stride

    def forward(self, x):
        return blur_pool(self.dense(x), self.taps, self.stride)
