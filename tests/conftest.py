"""One thread per process and no display, set before anything imports torch or matplotlib."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from hypothesis import settings

# The same examples on every machine and in every run; time limits are the machine's business.
settings.register_profile("cnnbook", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("cnnbook")
