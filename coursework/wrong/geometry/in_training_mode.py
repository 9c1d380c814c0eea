"""Evaluation mode is for measuring accuracy and does not change what depends on what.

points measured-test 4.5
mistake measured in training mode
"""


# %% measured
def measured_field(model, x, unit):
    probe = copy.deepcopy(model)
    height, width = x.shape[2:]
    images = torch.zeros(height * width, x.shape[1], height * width)
    for pixel in range(height * width):
        images[pixel, :, pixel] = float("nan")
    with torch.no_grad():
        y = probe(images.view(-1, x.shape[1], height, width))
    row, column = unit
    if not (0 <= row < y.shape[2] and 0 <= column < y.shape[3]):
        raise ValueError(f"no unit {unit}")
    return y[:, :, row, column].isnan().any(dim=1).view(height, width)
