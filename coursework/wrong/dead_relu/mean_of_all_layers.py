"""Dormant is measured against the mean of the network.

points tally-test 2
points counts-test 2
mistake the mean of all layers, not of its own
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
                "sparse": int(((units["active"] > 0) & (units["active"] < 0.01)).sum()),
                "dormant": int((units["size"] <= tau * table["size"].mean()).sum()),
            }
        )
    return pd.DataFrame(rows)
