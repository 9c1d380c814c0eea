"""The examples are all the patients that there are.

points diagnose-test 6
mistake no-gradient taken for healthy
mistake dead-by-bias taken for healthy
"""


# %% diagnose
def diagnose(patient):
    layers = weight_layers(patient["network"])
    if not layers[3].weight.requires_grad:
        return "no-gradient"
    if (layers[2].weight == layers[2].weight[:1]).all():
        return "unbroken-symmetry"
    if patient["scale"] == 1:
        return "inputs-not-normalised"
    if layers[2].bias.mean() == 8:
        return "vanishing-by-saturation"
    if layers[2].bias.mean() == -60:
        return "dead-by-bias"
    if (layers[0].bias == 0).all():
        small = layers[0].weight.std() < 0.1
        return "vanishing-by-initialisation" if small else "exploding-by-initialisation"
    if patient["learning_rate"] > 1:
        return "learning-rate-too-large"
    return "learning-rate-too-small" if patient["learning_rate"] < 1e-3 else "healthy"
