"""A cell that never ends, by honest mistake."""

# %% conv2d
while True:
    pass
