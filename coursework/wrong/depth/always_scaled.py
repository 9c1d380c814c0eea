"""Clipping gives every gradient the length of the limit.

points clip-test 2
mistake short gradients are stretched
"""


# %% clip
def clip_by_norm(gradients, limit):
    if limit <= 0:
        raise ValueError("limit must be above 0")
    present = [g for g in gradients if g is not None]
    norm = torch.cat([g.double().flatten() for g in present]).norm()
    for g in present:
        g.copy_(g.double() * (limit / norm))
    return norm.item()
