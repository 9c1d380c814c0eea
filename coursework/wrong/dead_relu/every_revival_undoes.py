"""Every revival undoes a death.

points lives-test 2.5
mistake a revival of the born dead undoes no death
"""


# %% lives
def lives(dead):
    before, after = dead[:-1], dead[1:]
    deaths = (~before & after).sum(dim=0)
    revivals = (before & ~after).sum(dim=0)
    start, now = dead[0], dead[-1]
    columns = {
        "born_dead": start,
        "killed": ~start & now,
        "revived": dead.any(dim=0) & ~now,
        "deaths": deaths,
        "revivals": revivals,
        "undone": revivals,
    }
    return pd.DataFrame({name: column.numpy() for name, column in columns.items()})
