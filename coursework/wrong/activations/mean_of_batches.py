"""A mean of the batches' shares, in the belief that batches count alike.

points saturated-test 3
mistake a mean of the batches' shares
"""


# %% saturated
def saturated(batches, slope):
    steepest = slope(torch.linspace(-10, 10, 2001)).abs().max()
    shares = []
    for z in batches:
        rows = z.transpose(0, 1).flatten(1)
        shares.append((slope(rows).abs() < 0.05 * steepest).double().mean(dim=1))
    return torch.stack(shares).mean(dim=0) > 0.95
