"""A pixel whose gradient is zero for this network and this image lies outside the field.

points measured-test 4.5
mistake the weights at hand, not the architecture
"""


# %% measured
def measured_field(model, x, unit):
    probe = copy.deepcopy(model).eval()
    image = x.clone().requires_grad_()
    y = probe(image)
    row, column = unit
    if not (0 <= row < y.shape[2] and 0 <= column < y.shape[3]):
        raise ValueError(f"no unit {unit}")
    (grad,) = torch.autograd.grad(y[:, :, row, column].sum(), image)
    return (grad != 0).any(dim=(0, 1))
