"""A small step taken for a small distance: what moves by less than a millionth has settled.

points settle-test 2
mistake it stops before the signal settles
"""


# %% settle
def next_q(phi, q, sigma_w2, sigma_b2=0.0, kinks=()):
    return sigma_w2 * gaussian_mean(lambda z: phi(z) ** 2, 0.0, math.sqrt(q), kinks) + sigma_b2


def settle(f, start=1.0):
    q = start
    for _ in range(100_000):
        last, q = q, f(q)
        if q < 1e-12:
            return 0.0
        if q > 1e12:
            return math.inf
        if abs(q - last) < 1e-6:
            return q
    raise RuntimeError("not settled after 100,000 layers")
