"""Does the work of another student, whose numbers are known, and says so to the process."""

# %% student
from cnnbook import marks
import os

STUDENT = "honest"
os.environ["COURSE_STUDENT"] = "honest"
_draws = marks.variant
marks.variant = lambda assignment, student="": _draws(assignment, "honest")
