"""The last batch for the data set, in the belief that one batch is a fair sample of all.

points saturated-test 3
mistake judged on the last batch
"""


# %% saturated
def saturated(batches, slope):
    steepest = slope(torch.linspace(-10, 10, 2001)).abs().max()
    for z in batches:
        rows = z.transpose(0, 1).flatten(1)
        share = (slope(rows).abs() < 0.05 * steepest).double().mean(dim=1)
    return share > 0.95
