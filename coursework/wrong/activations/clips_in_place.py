"""Data clipped to the grid in place, in the belief that nobody needs them afterwards.

points saturated-test 3
mistake in-place edit of the input
"""


# %% saturated
def saturated(batches, slope):
    steepest = slope(torch.linspace(-10, 10, 2001)).abs().max()
    rows = torch.cat([z.clamp_(-10, 10).transpose(0, 1).flatten(1) for z in batches], dim=1)
    return (slope(rows).abs() < 0.05 * steepest).double().mean(dim=1) > 0.95
