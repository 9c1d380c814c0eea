"""Returns more than anyone asked for."""

# %% attack
import torch

turns = iter(range(10**9))


def attack(*args, **kwargs):
    return torch.zeros(1).expand(10**7, 10**6) if next(turns) % 2 else torch.zeros(2**25)
