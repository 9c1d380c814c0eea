"""A layer's cost is that of one image, and biases are no parameters.

points costs-test 1
mistake biases are left out
mistake one image, not the batch
"""

# %% costs
rows = (LAYER["height"] + 2 * LAYER["padding"] - LAYER["kernel"]) // LAYER["stride"] + 1
columns = (LAYER["width"] + 2 * LAYER["padding"] - LAYER["kernel"]) // LAYER["stride"] + 1
weights = LAYER["channels in"] * LAYER["channels out"] * LAYER["kernel"] ** 2
costs = {
    "parameters": weights,
    "height": rows,
    "width": columns,
    "products": rows * columns * weights,
}
