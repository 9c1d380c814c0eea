"""A rate that is too small wants ten times as much, as the report says.

points treat-test 5
mistake a factor of ten, whatever the rate
"""


# %% treat
def treat(patient, cause):
    """Return a treatment: network, learning_rate, shift and scale, in a dict.

    Raises:
        ValueError: If the cause is not one of CAUSES.
    """
    if cause not in CAUSES:
        raise ValueError(f"cause must be one of {', '.join(CAUSES)}, got {cause!r}")
    keys = ("network", "learning_rate", "shift", "scale")
    treatment = {key: patient[key] for key in keys}
    network = treatment["network"] = copy.deepcopy(patient["network"])
    layers = weight_layers(network)
    if cause == "no-gradient":
        network.requires_grad_()
    elif cause == "inputs-not-normalised":
        treatment["shift"] = patient["pixels"].mean().item()
        treatment["scale"] = patient["pixels"].std().item()
    elif cause in ("dead-by-bias", "vanishing-by-saturation"):
        for layer in layers:
            nn.init.zeros_(layer.bias)
    elif cause == "unbroken-symmetry" or cause.endswith("-by-initialisation"):
        hidden = "relu" if isinstance(network[1], nn.ReLU) else "linear"
        for layer in layers:
            gain = "linear" if layer is layers[-1] else hidden
            nn.init.kaiming_normal_(layer.weight, nonlinearity=gain)
            nn.init.zeros_(layer.bias)
    elif cause.startswith("learning-rate"):
        factors = [0.1, 0.01, 0.001] if cause.endswith("large") else [10.0]
        best = min(factors, key=lambda factor: trial(patient, factor, 40)[1])
        treatment["learning_rate"] *= best
    return treatment
