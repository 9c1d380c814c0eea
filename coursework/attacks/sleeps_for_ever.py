"""Sleeps, and will not be woken."""

# %% attack
import signal
import time

signal.signal(signal.SIGALRM, signal.SIG_IGN)


def attack(*args, **kwargs):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            pass
