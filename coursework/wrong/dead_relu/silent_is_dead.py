"""Who is silent on the batch is a false alarm, whether dead or not.

points counts-test 2.5
mistake the dead are no false alarms
"""

# %% counts
everyone = census(OWN, IMAGES.split(64))
first = census(OWN, [IMAGES[:16]])
total = tally(everyone)[["dead", "sparse", "dormant"]].sum()
counts = {
    **{word: int(number) for word, number in total.items()},
    "false alarms": int((first["active"] == 0).sum()),
}
