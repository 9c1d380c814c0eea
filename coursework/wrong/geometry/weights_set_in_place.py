"""A network that was passed may be given other weights, as the answer does not depend on them.

points measured-test 6
mistake in-place edit of the input
"""


# %% measured
def measured_field(model, x, unit):
    modes = [module.training for module in model.modules()]
    model.eval()
    height, width = x.shape[2:]
    images = torch.zeros(height * width, x.shape[1], height * width)
    for pixel in range(height * width):
        images[pixel, :, pixel] = float("nan")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
        y = model(images.view(-1, x.shape[1], height, width))
    for module, mode in zip(model.modules(), modes):
        module.training = mode
    row, column = unit
    if not (0 <= row < y.shape[2] and 0 <= column < y.shape[3]):
        raise ValueError(f"no unit {unit}")
    return y[:, :, row, column].isnan().any(dim=1).view(height, width)
