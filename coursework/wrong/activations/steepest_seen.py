"""The largest slope among the data, in the belief that what no unit reaches does not count.

points saturated-test 3
mistake the steepest slope seen, not the activation's
"""


# %% saturated
def saturated(batches, slope):
    rows = torch.cat([z.transpose(0, 1).flatten(1) for z in batches], dim=1)
    slopes = slope(rows).abs()
    return (slopes < 0.05 * slopes.max()).double().mean(dim=1) > 0.95
