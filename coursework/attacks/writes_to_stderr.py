"""Writes to standard error in every call, which makes nbgrader give no points to a test cell."""

# %% attack
import os
import sys
import warnings


def attack(*args, **kwargs):
    print("noise", file=sys.stderr)
    os.write(2, b"noise")
    warnings.warn("noise")
    raise ValueError("noise")
