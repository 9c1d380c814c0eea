"""The shifted images are a new array, so pixels of the old one may be blackened first.

points report-test 3.5
mistake in-place edit of the input
"""


# %% report
def shift_report(model, x, down, right, wrap=True, batch_size=64):
    """Return how steady a network is under a shift of its images.

    Args:
        model: From images (n, C, H, W) to logits (n, classes).
        x: Images (N, C, H, W).
        down: Pixels by which the images move down; negative is up.
        right: Pixels by which they move to the right; negative is left.
        wrap: Whether the image is a ring; if not, zeros enter.
        batch_size: Most images that the network may see at once.

    Returns:
        A dictionary of two numbers, "consistency" and "change".
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            pairs = [
                (model(batch), model(_shifted(batch, down, right, wrap)))
                for batch in x.split(batch_size)
            ]
    finally:
        for module, training in modes:
            module.training = training
    still, moved = (torch.cat(outputs) for outputs in zip(*pairs, strict=True))
    agree = moved.argmax(dim=1) == still.argmax(dim=1)
    change = ((moved - still).square().mean() / still.var(dim=0).mean()).sqrt()
    return {"consistency": agree.double().mean().item(), "change": change.item()}


def _shifted(x, down, right, wrap):
    """Return x moved down and to the right."""
    if not wrap:  # blacken what would come in again
        if down:
            x[:, :, slice(-down, None) if down > 0 else slice(0, -down)] = 0
        if right:
            x[..., slice(-right, None) if right > 0 else slice(0, -right)] = 0
    moved = x.roll((down, right), dims=(2, 3))
    if wrap:
        return moved
    inside = []
    for length, by in zip(x.shape[2:], (down, right), strict=True):
        came_from = torch.arange(length) - by
        inside.append((came_from >= 0) & (came_from < length))
    return moved * (inside[0][:, None] & inside[1])
