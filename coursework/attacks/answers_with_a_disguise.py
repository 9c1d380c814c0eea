"""Returns objects that claim to be equal to anything, or that run code when they are read."""

# %% attack
import torch
import os


class Anything(torch.Tensor):
    def __eq__(self, other):
        return True

    def numpy(self):
        return self

    @property
    def shape(self):
        return (1, 1, 4, 5)

    def __reduce__(self):
        return os.system, ("touch /tmp/owned",)


class Chameleon:
    dtype, ndim = torch.float32, 0

    def __getattr__(self, name):
        return self

    def __call__(self, *args, **kwargs):
        return self

    def __eq__(self, other):
        return True

    def __array__(self, *args, **kwargs):
        return None


answers = iter(range(10**9))


def attack(*args, **kwargs):
    number = next(answers)
    return (
        torch.zeros(1).as_subclass(Anything),
        Chameleon(),
        float("nan"),
        {"ok": 7},
        torch.full((1,), float("inf")),
        [[[]]],
        "7",
        10**5000,
    )[number % 8]
