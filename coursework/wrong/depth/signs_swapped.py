"""A slope above zero is a gradient that grows, so it explodes.

points slope-test 3
mistake vanishing and exploding are swapped
"""


# %% slope
def slope(depth, rms):
    depth, rms = np.asarray(depth, float), np.asarray(rms, float)
    if len(rms) < 3 or not (np.isfinite(rms) & (rms > 0)).all():
        raise ValueError("no slope: too few layers, or a number without a logarithm")
    u = np.log10(rms)
    if np.ptp(u) == 0:
        return 0.0, math.nan
    steep, level = np.polyfit(depth, u, 1)
    return float(steep), float(1 - np.var(u - steep * depth - level) / np.var(u))


def verdict(slopes, limit=0.05):
    if len(slopes) < 5:
        raise ValueError("at least five networks, please")
    low, high = (lambda i: (i.low, i.high))(check.interval(slopes))
    if low > limit:
        return "explodes"
    if high < -limit:
        return "vanishes"
    return "fine" if low > -limit and high < limit else "undecided"
