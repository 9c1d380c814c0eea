"""Calling backward on the network itself leaves no trace but the gradient of the image; and a negative index is a unit as well.

points measured-test 3
mistake gradients are left behind
mistake bad input is accepted
"""


# %% measured
def measured_field(model, x, unit):
    modes = [module.training for module in model.modules()]
    model.eval()
    image = x.clone().requires_grad_()
    y = model(image)
    for module, mode in zip(model.modules(), modes):
        module.training = mode
    row, column = unit
    if row >= y.shape[2] or column >= y.shape[3]:
        raise ValueError(f"no unit {unit}")
    y[:, :, row, column].sum().backward()
    return (image.grad != 0).any(dim=(0, 1))
