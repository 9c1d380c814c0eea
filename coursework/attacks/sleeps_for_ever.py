"""Sleeps, and will not be woken."""

# %% conv2d
import signal
import time

signal.signal(signal.SIGALRM, signal.SIG_IGN)


def conv2d(*args, **kwargs):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            pass
