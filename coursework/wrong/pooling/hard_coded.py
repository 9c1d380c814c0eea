"""What the visible tests show is all that is asked: tiles, one batch, three taps, one pooling.

points max-test 2
points average-test 2
points report-test 1.5
points blur-test 1
points swap-test 1
points own-test 1
"""


# %% maximum
def max_pool2d(x, k, stride=None, padding=0):
    n, c, h, w = x.shape
    h, w = h // k, w // k
    tiles = x[..., : h * k, : w * k].reshape(n, c, h, k, w, k).transpose(3, 4).flatten(4)
    z, place = tiles.max(dim=4)
    row = torch.arange(h)[:, None] * k + place // k
    column = torch.arange(w) * k + place % k
    return z, row * x.shape[3] + column


def max_pool2d_backward(g, winners, size):
    here = torch.arange(size[0] * size[1]).reshape(size)
    wide = [t.repeat_interleave(2, 2).repeat_interleave(2, 3) for t in (g, winners)]
    return wide[0] * (wide[1] == here)


# %% average
def avg_pool2d(x, k, stride=None, padding=0, count_include_pad=True):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // k, k, w // k, k).mean(dim=(3, 5))


def avg_pool2d_backward(g, size, k, stride=None, padding=0, count_include_pad=True):
    return g.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4


# %% report
def shift_report(model, x, down, right, wrap=True, batch_size=64):
    with torch.no_grad():
        still, moved = model(x), model(x.roll(2, 3))
    agree = (moved.argmax(1) == still.argmax(1)).double().mean().item()
    change = ((moved - still).square().mean() / still.var(0).mean()).sqrt().item()
    return {"consistency": agree, "change": change}


# %% blur
def blur_pool(x, taps=3, stride=2, mode="reflect"):
    row = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype) / 4
    weight = torch.outer(row, row).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, [1] * 4, mode="reflect"), weight, stride=2, groups=x.shape[1])


# %% swap
def anti_aliased(model, taps=3):
    if taps == 1:
        return model
    return nn.Sequential(nn.MaxPool2d(2, 1), Blur())


class Blur(nn.Module):
    def forward(self, x):
        return blur_pool(x)


# %% own
left = CHAIN["size"] // math.prod(k for _, k in CHAIN["poolings"])
answers = {
    "norm": 1 / (dict(CHAIN["poolings"])["average"] * left),
    "share": 1 / 6,
    "period": 6,
    "alias": 0,
    "amplitude": 0.07,
}
