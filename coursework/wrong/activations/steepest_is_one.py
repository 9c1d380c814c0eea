"""A slope below 0.05, sign and all, as if every activation were as steep as tanh and never fell.

points saturated-test 2
mistake the steepest slope is taken for one
mistake without the absolute value
"""


# %% saturated
def saturated(batches, slope):
    rows = torch.cat([z.transpose(0, 1).flatten(1) for z in batches], dim=1)
    return (slope(rows) < 0.05).double().mean(dim=1) > 0.95
