"""Every gradient is clipped to the limit by itself.

points clip-test 1
mistake each tensor by itself, not all together
"""


# %% clip
def clip_by_norm(gradients, limit):
    if limit <= 0:
        raise ValueError("limit must be above 0")
    norms = []
    for g in gradients:
        if g is not None:
            norms.append(g.double().norm().item())
            if math.isfinite(norms[-1]) and norms[-1] > limit:
                g.mul_(limit / norms[-1])
    if not all(map(math.isfinite, norms)):
        return math.nan
    return math.sqrt(sum(norm**2 for norm in norms))
