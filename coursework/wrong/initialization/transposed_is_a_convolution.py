"""A transposed convolution's weight is laid out like a convolution's.

points fans-test 2
points draw-test 3
mistake a transposed convolution is taken for a convolution
"""


# %% fans
def fans(layer):
    first, second, *kernel = layer.weight.shape
    taps = math.prod(kernel)
    return second * taps, first // getattr(layer, "groups", 1) * taps
