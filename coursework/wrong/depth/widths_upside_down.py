"""A gradient that comes from a wide layer into a narrow one is spread thin.

points law-test 3
mistake widths upside down
"""


# %% law
def predicted_profile(name, widths, sigma_w2, sigma_b2=0.0, q=1.0):
    phi, factors = ACTIVATIONS[name], []
    for n, above in zip(widths, widths[1:]):
        at = {"std": math.sqrt(q), "kinks": phi.kinks}
        chi = sigma_w2 * gaussian_mean(lambda z: phi.derivative(z) ** 2, **at)
        factors.append(chi * n / above)
        q = sigma_w2 * gaussian_mean(lambda z: phi(z) ** 2, **at) + sigma_b2
    return [math.prod(factors[i:]) ** 0.5 for i in range(len(widths))]
