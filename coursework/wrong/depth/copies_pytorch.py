"""PyTorch has a function for it, which takes parameters, so give it some.

points clip-test 1
mistake copies PyTorch's function where forbidden
mistake what is not finite is spread over all
"""


# %% clip
def clip_by_norm(gradients, limit):
    if limit <= 0:
        raise ValueError("limit must be above 0")
    parameters = []
    for g in gradients:
        if g is not None:
            parameters.append(nn.Parameter(torch.zeros_like(g)))
            parameters[-1].grad = g
    return nn.utils.clip_grad_norm_(parameters, limit).item()
