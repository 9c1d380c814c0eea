"""The numbers of a friend who has run the notebook will do.

points answers-test 0
"""

# %% answers
answers = {
    "deviations": [0.187, 0.1247, 0.5293, 0.1296, 0.0764],
    "signal": 0.0527,
    "gradient": 0.0351,
    "gain": 1.445,
}
