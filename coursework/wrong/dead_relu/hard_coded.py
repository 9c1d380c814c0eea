"""The tests that are shown are the tests.

points census-test 1
points tally-test 1
points counts-test 0.5
points lives-test 1
"""


# %% census
def census(net, batches):
    columns = {"active": [1.0, 0.0, 0.5], "size": [2.25, 0.0, 0.75]}
    return pd.DataFrame({"layer": "1", "unit": range(3), **columns})


# %% tally
def tally(table, tau=0.025):
    return pd.DataFrame({"layer": ["relu1"], "units": 6, "dead": 2, "sparse": 1, "dormant": 3})


# %% counts
counts = {"dead": 1, "sparse": 2, "dormant": 3, "false alarms": 56}


# %% lives
def lives(dead):
    dies, back = [0, 0, 1, 1], [0, 0, 0, 1]
    return pd.DataFrame(
        {
            "born_dead": [False, True, False, False],
            "killed": [False, False, True, False],
            "revived": [False, False, False, True],
            "deaths": dies,
            "revivals": back,
            "undone": back,
        }
    )
