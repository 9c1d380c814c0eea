"""The law is in σ_w and σ_b, which is what the network gives, and depth counts all layers.

points numbers-test 0
mistake σ_w and σ_b, not their squares
"""

# %% numbers
phi, w2, q = ACTIVATIONS[NETWORK["activation"]], NETWORK["sigma_w"], 1.0
for _ in range(500):
    q = w2 * gaussian_mean(lambda z: phi(z) ** 2, std=q**0.5) + NETWORK["sigma_b"]
chi = w2 * gaussian_mean(lambda z: phi.derivative(z) ** 2, std=q**0.5)
decades = -math.log10(chi) / 2
numbers = {
    "std": NETWORK["sigma_w"] / math.sqrt(NETWORK["width"]),
    "chi": chi,
    "slope": decades,
    "fall": decades * NETWORK["depth"],
    "underflow": math.ceil((math.log10(NETWORK["top"]) + 149 * math.log10(2)) / decades),
    "trainable": -6 / math.log(chi),
}
