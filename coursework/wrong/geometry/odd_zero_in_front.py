"""The padding that is left over stands before the image.

points back-test 0
mistake the odd zero stands in front
"""

# %% back
import math


def same_padding(size, kernel, stride=1, dilation=1):
    total = max((math.ceil(size / stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return math.ceil(total / 2), total // 2
