"""The root of f(q) = q nearest to the start, in the belief that every fixed point is a limit.

points settle-test 3
mistake a fixed point that repels is taken for the limit
"""


# %% settle
def next_q(phi, q, sigma_w2, sigma_b2=0.0, kinks=()):
    return sigma_w2 * gaussian_mean(lambda z: phi(z) ** 2, 0.0, math.sqrt(q), kinks) + sigma_b2


def settle(f, start=1.0):
    from scipy.optimize import brentq

    def off(log_q):
        return f(math.exp(log_q)) / math.exp(log_q) - 1

    middle = math.log(start)
    for reach in np.arange(0.05, 27, 0.05):
        for low, high in (
            (middle - reach, middle - reach + 0.05),
            (middle + reach - 0.05, middle + reach),
        ):
            if off(low) * off(high) < 0:
                return math.exp(brentq(off, low, high, xtol=1e-13))
    if abs(off(0.0)) < 0.01:
        return 0.0
    raise RuntimeError("there is no fixed point")
