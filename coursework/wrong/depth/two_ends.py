"""The slope of a profile is what lies between its two ends, over the layers between.

points slope-test 4
mistake two ends, not least squares
"""


# %% slope
def slope(depth, rms):
    depth, rms = np.asarray(depth, float), np.asarray(rms, float)
    if len(rms) < 3 or not (np.isfinite(rms) & (rms > 0)).all():
        raise ValueError("no slope: too few layers, or a number without a logarithm")
    u = np.log10(rms)
    if np.ptp(u) == 0:
        return 0.0, math.nan
    steep = (u[-1] - u[0]) / (depth[-1] - depth[0])
    level = np.mean(u - steep * depth)
    return float(steep), float(1 - np.var(u - steep * depth - level) / np.var(u))


def verdict(slopes, limit=0.05):
    if len(slopes) < 5:
        raise ValueError("at least five networks, please")
    low, high = (lambda i: (i.low, i.high))(check.interval(slopes))
    if low > limit:
        return "vanishes"
    if high < -limit:
        return "explodes"
    return "fine" if low > -limit and high < limit else "undecided"
