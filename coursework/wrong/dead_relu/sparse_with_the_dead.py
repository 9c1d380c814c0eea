"""A unit that is never active is active at fewer than one in a hundred positions, so it is sparse.

points tally-test 1
points counts-test 2
mistake sparse counts the dead as well
"""


# %% tally
def tally(table, tau=0.025):
    rows = []
    for layer, units in table.groupby("layer", sort=False):
        rows.append(
            {
                "layer": layer,
                "units": len(units),
                "dead": int((units["active"] == 0).sum()),
                "sparse": int((units["active"] < 0.01).sum()),
                "dormant": int((units["size"] <= tau * units["size"].mean()).sum()),
            }
        )
    return pd.DataFrame(rows)
