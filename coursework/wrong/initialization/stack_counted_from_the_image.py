"""Five layers have five factors, and the first one is no exception.

points answers-test 1
mistake the first layer is counted, too
"""

# %% answers
passed = (1 + STACK["slope"] ** 2) / 2
layers = STACK["layers"]
pairs = [(layer["channels in"], layer["channels out"]) for layer in layers]
answers = {
    "deviations": [
        (passed * (layer["channels in"] // layer["groups"]) * layer["kernel"] ** 2) ** -0.5
        for layer in layers
    ],
    "signal": math.prod(2 * i / (i + o) * passed for i, o in pairs),
    "gradient": math.prod(2 * o / (i + o) * passed for i, o in pairs),
}
answers["gain"] = answers["signal"] ** (-1 / (2 * len(pairs)))
