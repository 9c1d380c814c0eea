"""The loss tells all: where it rises the rate is too large, and where it stays, too small.

points diagnose-test 3
mistake dead-by-bias taken for learning-rate-too-small
mistake exploding-by-initialisation taken for learning-rate-too-large
"""


# %% diagnose
def diagnose(patient):
    first, last = trial(patient)
    if last > 1.1 * first:
        return "learning-rate-too-large"
    return "learning-rate-too-small" if last > 0.95 * first else "healthy"
