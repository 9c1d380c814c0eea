"""A network has one mode, so that setting the whole one back to training restores it.

points measured-test 6
mistake the mode is changed
"""


# %% measured
def measured_field(model, x, unit):
    height, width = x.shape[2:]
    training = model.training
    model.eval()
    images = torch.zeros(height * width, x.shape[1], height * width)
    for pixel in range(height * width):
        images[pixel, :, pixel] = float("nan")
    with torch.no_grad():
        y = model(images.view(-1, x.shape[1], height, width))
    model.train(training)
    row, column = unit
    if not (0 <= row < y.shape[2] and 0 <= column < y.shape[3]):
        raise ValueError(f"no unit {unit}")
    return y[:, :, row, column].isnan().any(dim=1).view(height, width)
