"""The images of all recipes: the book's default data set, standardised by its training split."""

from functools import cache

from torch import Tensor

from cnnbook import data


@cache
def images() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return (x, y) of the training split, then of the test split."""
    pictures = data.load()
    train, test = pictures.train, pictures.test
    return (data.standardize(train.x), train.y), (data.standardize(test.x, train.x), test.y)
