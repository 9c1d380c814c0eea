"""Fashion images of 4×4 pixels, each the mean of 7×7, standardised by the training split."""

from functools import cache

from torch.nn import functional as F

from cnnbook import data


@cache
def thumbnails():
    """Return (x, y) of the training split, then of the test split, x of shape (N, 1, 4, 4)."""
    pictures = data.load()
    small = [F.avg_pool2d(split.x.float(), 7) for split in (pictures.train, pictures.test)]
    x, test_x = data.standardize(small[0]), data.standardize(small[1], small[0])
    return (x, pictures.train.y), (test_x, pictures.test.y)
