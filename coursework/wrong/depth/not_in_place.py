"""A parameter to which a new tensor is assigned changes for whoever passed it.

points clip-test 1
mistake not in place
"""


# %% clip
def clip_by_norm(gradients, limit):
    if limit <= 0:
        raise ValueError("limit must be above 0")
    present = [g for g in gradients if g is not None]
    norm = math.sqrt(sum(g.double().square().sum().item() for g in present))
    if math.isfinite(norm) and norm > limit:
        for g in present:
            g = g * (limit / norm)
    return norm
