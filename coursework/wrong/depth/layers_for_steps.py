"""Between the first and the last of n hidden layers lie n layers, and float32 ends at 2^-126.

points numbers-test 1
mistake layers are counted, not steps between them
mistake 2^-126 is not the smallest positive number
"""

# %% numbers
phi, w2, q = ACTIVATIONS[NETWORK["activation"]], NETWORK["sigma_w"] ** 2, 1.0
for _ in range(500):
    q = w2 * gaussian_mean(lambda z: phi(z) ** 2, std=q**0.5) + NETWORK["sigma_b"] ** 2
chi = w2 * gaussian_mean(lambda z: phi.derivative(z) ** 2, std=q**0.5)
decades = -math.log10(chi) / 2
numbers = {
    "std": NETWORK["sigma_w"] / math.sqrt(NETWORK["width"]),
    "chi": chi,
    "slope": decades,
    "fall": decades * (NETWORK["depth"] - 1),
    "underflow": math.ceil((math.log10(NETWORK["top"]) + 126 * math.log10(2)) / decades),
    "trainable": -6 / math.log(chi),
}
