"""As many steps as layers, in the belief that depth d takes d steps from the first layer.

points forecast-test 1
mistake off by one layer
"""

# %% forecast
square = (NETWORK["slope right"] ** 2 + NETWORK["slope left"] ** 2) / 2
chi = NETWORK["sigma_w2"] * square
q = NETWORK["first"]
for _ in range(NETWORK["depth"]):
    q = chi * q + NETWORK["sigma_b2"]
forecast = {
    "gain": 1 / math.sqrt(square),
    "fixed point": NETWORK["sigma_b2"] / (1 - chi),
    "signal": q,
    "gradient": chi ** NETWORK["depth"],
}
