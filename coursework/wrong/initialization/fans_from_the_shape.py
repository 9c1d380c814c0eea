"""PyTorch's own count of fans is right for every layer, since it looks at the weight.

points fans-test 1
points draw-test 3
mistake PyTorch's fans, from the weight's shape alone
"""


# %% fans
def fans(layer):
    return nn.init._calculate_fan_in_and_fan_out(layer.weight)
