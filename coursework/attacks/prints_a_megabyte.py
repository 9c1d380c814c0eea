"""Prints a megabyte in a cell and in every call."""

# %% conv2d
print("x" * 2**20)
print("y\n" * 2**19)


def conv2d(*args, **kwargs):
    print("z" * 2**22)
    return None
