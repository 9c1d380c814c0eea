"""A dict that is copied has copies in it, so that the patient stays as it was.

points treat-test 2
mistake in-place edit of the input
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
    network = treatment["network"]
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
        sign = -1 if cause.endswith("large") else 1
        factors = [10.0 ** (sign * k) for k in range(1, 6)]
        best = min(factors, key=lambda factor: trial(patient, factor, 40)[1])
        treatment["learning_rate"] *= best
    return treatment
