"""How much gradient the first layers of a thousand and of ten thousand plain tanh layers get.

Convolutions 3×3 with circular padding, 16 channels, on 16 Fashion images of 4×4 pixels, each the
mean of 7×7, at the edge of chaos (σ_b² = 2.01e-5, χ₁ = 1), before any training. The head is a dense
layer on all positions or on their mean. "No grey pixels" sets every pixel to −1 or 1, whichever is
nearer. ``first`` and ``second`` are the norms of the gradient of the first and of the second
convolution's weights over that of the last.

Source: Xiao et al. (2018), whose start delta-orthogonal is.
"""

from ._edge import gradient_norms, network
from ._thumbnails import thumbnails

SEEDS = range(10)
BATCH = 16
IMAGES = ("Fashion", "no grey pixels")
GRID = [
    *(
        {"depth": 1000, "start": start, "head": head, "images": images}
        for start in ("delta-orthogonal", "Gaussian")
        for head in ("all positions", "mean")
        for images in IMAGES
    ),
    *(
        {"depth": 10_000, "start": "delta-orthogonal", "head": "mean", "images": images}
        for images in IMAGES
    ),
]
TOLERANCES = {"first": 0.01, "second": 0.01}


def run(seed, depth, start, head, images):
    """Take one gradient."""
    x, y = (part[:BATCH] for part in thumbnails()[0])
    net = network(depth, start, flatten_size=4 if head == "all positions" else None)
    first, second, *_, last = gradient_norms(net, x if images == "Fashion" else x.sign(), y)
    return {"first": first / last, "second": second / last}
