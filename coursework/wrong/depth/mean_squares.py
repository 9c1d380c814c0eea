"""χ is the factor of the gradient, so nothing is left to take a root of.

points law-test 0
points numbers-test 1
mistake mean squares, not their root
"""


# %% law
def predicted_profile(name, widths, sigma_w2, sigma_b2=0.0, q=1.0):
    phi, factors = ACTIVATIONS[name], []
    for n, above in zip(widths, widths[1:]):
        at = {"std": math.sqrt(q), "kinks": phi.kinks}
        chi = sigma_w2 * gaussian_mean(lambda z: phi.derivative(z) ** 2, **at)
        factors.append(chi * above / n)
        q = sigma_w2 * gaussian_mean(lambda z: phi(z) ** 2, **at) + sigma_b2
    return [math.prod(factors[i:]) for i in range(len(widths))]


# %% numbers
phi, w2, q = ACTIVATIONS[NETWORK["activation"]], NETWORK["sigma_w"] ** 2, 1.0
for _ in range(500):
    q = w2 * gaussian_mean(lambda z: phi(z) ** 2, std=q**0.5) + NETWORK["sigma_b"] ** 2
chi = w2 * gaussian_mean(lambda z: phi.derivative(z) ** 2, std=q**0.5)
decades = -math.log10(chi)
numbers = {
    "std": NETWORK["sigma_w"] / math.sqrt(NETWORK["width"]),
    "chi": chi,
    "slope": decades,
    "fall": decades * (NETWORK["depth"] - 2),
    "underflow": math.ceil((math.log10(NETWORK["top"]) + 149 * math.log10(2)) / decades),
    "trainable": -6 / math.log(chi),
}
