"""Whoever is dead at the end was killed.

points lives-test 1.5
mistake killed counts the born dead
"""


# %% lives
def lives(dead):
    before, after = dead[:-1], dead[1:]
    deaths = (~before & after).sum(dim=0)
    revivals = (before & ~after).sum(dim=0)
    start, now = dead[0], dead[-1]
    columns = {
        "born_dead": start,
        "killed": now,
        "revived": dead.any(dim=0) & ~now,
        "deaths": deaths,
        "revivals": revivals,
        "undone": deaths - (now & (deaths > 0)).long(),  # all but the last, where it holds
    }
    return pd.DataFrame({name: column.numpy() for name, column in columns.items()})
