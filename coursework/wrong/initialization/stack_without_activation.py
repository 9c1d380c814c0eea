"""Glorot's start is made for one, so the activation enters nowhere, and the gain is a variance.

points answers-test 0
mistake the slope is left out
mistake the activation is left out
"""

# %% answers
pairs = [
    (layer["channels in"] // layer["groups"], layer["channels out"] // layer["groups"])
    for layer in STACK["layers"]
]
signal = math.prod(2 * i / (i + o) for i, o in pairs[1:])
answers = {
    "deviations": [
        math.sqrt(2 / (i * layer["kernel"] ** 2))
        for (i, _), layer in zip(pairs, STACK["layers"], strict=True)
    ],
    "signal": signal,
    "gradient": math.prod(2 * o / (i + o) for i, o in pairs[1:]),
    "gain": signal ** (-1 / 4),
}
