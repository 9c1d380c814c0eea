"""The signal's profile taken for the gradient's, in the belief that both share one recursion.

points forecast-test 2
mistake the signal's profile for the gradient's
"""

# %% forecast
square = (NETWORK["slope right"] ** 2 + NETWORK["slope left"] ** 2) / 2
chi = NETWORK["sigma_w2"] * square
q = NETWORK["first"]
for _ in range(NETWORK["depth"] - 1):
    q = chi * q + NETWORK["sigma_b2"]
forecast = {
    "gain": 1 / math.sqrt(square),
    "fixed point": NETWORK["sigma_b2"] / (1 - chi),
    "signal": q,
    "gradient": q / NETWORK["first"],
}
