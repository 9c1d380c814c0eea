"""Claims to be another student, and changes who the process says that it works for."""

# %% student
import os

STUDENT = "honest"
os.environ["COURSE_STUDENT"] = "honest"

# %% conv2d
_draws = marks.variant
marks.variant = lambda assignment, student="": _draws(assignment, "honest")


def conv2d(*args, **kwargs):
    raise NotImplementedError
