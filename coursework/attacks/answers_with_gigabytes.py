"""Returns more than anyone asked for."""

# %% conv2d
def conv2d(x, *args, **kwargs):
    return torch.zeros(1).expand(10**7, 10**6) if len(x) == 1 else torch.zeros(2**25)
