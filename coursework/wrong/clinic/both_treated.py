"""Two layers look alike, so that both are treated, and the shares are read off then.

points own-test 2
mistake both layers are treated at once
"""


# %% own-answer
def dead_share(network):
    """Return the share of dead units over all hidden layers, which are of equal width."""
    signs = examine(network, prepared(OWN), OWN["y"], OWN["learning_rate"])[:-1]
    return sum(row["dead"] for row in signs) / len(signs)


def without_biases(name):
    """Return a copy of the network, with the biases of one layer set to zero."""
    network = copy.deepcopy(OWN["network"])
    nn.init.zeros_(network.get_submodule(name).bias)
    return network


network = copy.deepcopy(OWN["network"])
for layer in weight_layers(network):
    if layer.bias.max() < -1:
        nn.init.zeros_(layer.bias)
names = [
    name
    for name, _ in OWN["network"].named_children()
    if name + ".bias" in OWN["network"].state_dict()
]
suspects = [n for n in names if OWN["network"].get_submodule(n).bias.max() < -1]
own = {
    "layer": min(suspects, key=lambda name: dead_share(without_biases(name))),
    "before": dead_share(OWN["network"]),
    "cured": dead_share(network),
    "other": dead_share(network),
}
