"""Every layer has the factor of the fixed point, from the first one on.

points law-test 3
mistake χ of the fixed point in every layer
"""


# %% law
def predicted_profile(name, widths, sigma_w2, sigma_b2=0.0, q=1.0):
    phi = ACTIVATIONS[name]
    for _ in range(0 if name in ("relu", "leaky_relu") else 1000):
        at = {"std": math.sqrt(q), "kinks": phi.kinks}
        q = sigma_w2 * gaussian_mean(lambda z: phi(z) ** 2, **at) + sigma_b2
    at = {"std": math.sqrt(q), "kinks": phi.kinks}
    chi = sigma_w2 * gaussian_mean(lambda z: phi.derivative(z) ** 2, **at)
    n = len(widths)
    return [chi ** ((n - 1 - i) / 2) * (widths[-1] / widths[i]) ** 0.5 for i in range(n)]
