"""Groups only order the channels; every output still reads them all.

points answers-test 2
mistake groups are ignored
"""

# %% answers
tables = {side: account(STACK, IMAGE[side]) for side in ("height", "width")}
parameters, products, channels = 0, 0, IMAGE["channels"]
for number, layer in enumerate(STACK):
    if layer["kind"] == "conv":
        fan_in = channels * layer["kernel"] ** 2
        channels = layer["channels"]
        positions = tables["height"][number]["size"] * tables["width"][number]["size"]
        parameters += channels * (fan_in + 1)
        products += channels * positions * fan_in
clean = 1
for side, table in tables.items():
    last = table[-1]
    starts = [last["start"] + i * last["jump"] for i in range(last["size"])]
    clean *= sum(a >= 0 and a + last["field"] <= IMAGE[side] for a in starts)
answers = {
    "height": tables["height"][-1]["size"],
    "width": tables["width"][-1]["size"],
    "field": tables["height"][-1]["field"],
    "parameters": parameters,
    "multiply-adds": products,
    "clean": clean,
}
