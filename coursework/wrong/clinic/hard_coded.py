"""The examples are all the patients that there are.

points diagnose-test 2
"""


# %% diagnose
def diagnose(patient):
    if patient["scale"] == 1:
        return "inputs-not-normalised"
    if patient["learning_rate"] > 1:
        return "learning-rate-too-large"
    if patient["network"][4].bias.mean() == -60:
        return "dead-by-bias"
    return "healthy"
