"""What ``probes.py`` measures, on a second machine: the ratio is not the same on every one.

``make bench`` records ``probes.py``, where it runs. This table is kept for comparison.
"""

from .probes import FREE, GRID, SEEDS, run

__all__ = ["FREE", "GRID", "SEEDS", "run"]
