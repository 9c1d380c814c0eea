"""A share for each image, in the belief that the first axis counts units.

points saturated-test 0
mistake images for units
"""


# %% saturated
def saturated(batches, slope):
    steepest = slope(torch.linspace(-10, 10, 2001)).abs().max()
    rows = torch.cat([z.flatten(1) for z in batches])
    return (slope(rows).abs() < 0.05 * steepest).double().mean(dim=1) > 0.95
