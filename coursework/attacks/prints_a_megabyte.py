"""Prints a megabyte in a cell and in every call."""

# %% attack
print("x" * 2**20)
print("y\n" * 2**19)


def attack(*args, **kwargs):
    print("z" * 2**22)
    return None
