"""Writes to standard error in every call, which makes nbgrader give no points to a test cell."""

# %% conv2d
import os
import sys
import warnings


def conv2d(*args, **kwargs):
    print("noise", file=sys.stderr)
    os.write(2, b"noise")
    warnings.warn("noise")
    raise ValueError("x has 1 channel")
