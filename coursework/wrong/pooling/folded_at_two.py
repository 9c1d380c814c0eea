"""Only max and strided pooling depend on where one begins, a wave beyond the limit is folded at π − ω, and a blur of any length damps it by cos(ω/2).

points own-test 1.5
mistake the average is thought to ignore shifts
mistake folded once at the long ring's half
mistake an average of two
"""

# %% own
window = dict(CHAIN["poolings"])
period = window["maximum"] * window["average"] * window["strided"]
short = WAVE["ring"] // WAVE["every"]
rest = WAVE["waves"] % short
answers = {
    # the average divides by its k, the global average by the side of what is left
    "norm": 1 / (window["average"] * (CHAIN["size"] // period)),
    # average and global average reach every pixel, the others one in k²
    "share": 1 / (window["maximum"] * window["strided"]) ** 2,
    "period": window["maximum"] * window["strided"],
    "alias": WAVE["ring"] // 2 - WAVE["waves"],
    # (1, 1)/2 has the response cos(ω/2), and a binomial filter is taps − 1 of them in a row
    "amplitude": math.cos(math.pi * WAVE["waves"] / WAVE["ring"]),
}
