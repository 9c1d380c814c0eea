"""The zeros that "same" padding adds depend on the window alone.

points back-test 1
mistake the stride is ignored
"""


# %% back
def same_padding(size, kernel, stride=1, dilation=1):
    total = dilation * (kernel - 1)
    return total // 2, total - total // 2
