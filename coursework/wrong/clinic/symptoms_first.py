"""What is seen in the layers comes first: a dead layer has bad biases, large outputs large weights.

points diagnose-test 8
mistake inputs-not-normalised taken for exploding-by-initialisation
"""


# %% diagnose
def diagnose(patient):
    network, x = patient["network"], prepared(patient)
    signs = examine(network, x, patient["y"], patient["learning_rate"])
    hidden = signs[:-1]
    if max(row["dead"] for row in hidden) == 1:
        return "dead-by-bias"
    if signs[-1]["rms"] > 10:
        return "exploding-by-initialisation"
    if not all(p.requires_grad for p in network.parameters()):
        return "no-gradient"
    if any((layer.weight == layer.weight[:1]).all() for layer in weight_layers(network)):
        return "unbroken-symmetry"
    if abs(x.mean()) > 3 * x.std() or not 0.1 < x.std() < 5:
        return "inputs-not-normalised"
    if isinstance(network[1], nn.Tanh) and max(row["flat"] for row in hidden) > 0.8:
        return "vanishing-by-saturation"
    if hidden[0]["grad_z"] < 10**-2.5 * hidden[-1]["grad_z"]:
        return "vanishing-by-initialisation"
    first, last = trial(patient)
    if last > 1.1 * first:
        return "learning-rate-too-large"
    return "learning-rate-too-small" if last > 0.95 * first else "healthy"
