"""A cell that never ends, by honest mistake."""

# %% attack
while True:
    pass
