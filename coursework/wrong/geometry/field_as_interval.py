"""A unit reads all pixels of the interval that the account gives it.

points reads-test 2
mistake the field is taken for an interval
"""


# %% reads
def reads(layers, size, units=None):
    last = account(layers, size)[-1]
    units = list(range(last["size"])) if units is None else units
    seen = set()
    for unit in units:
        if not 0 <= unit < last["size"]:
            raise ValueError(f"no unit {unit}")
        first = last["start"] + unit * last["jump"]
        seen |= set(range(first, first + last["field"]))
    return sorted(pixel for pixel in seen if 0 <= pixel < size)
