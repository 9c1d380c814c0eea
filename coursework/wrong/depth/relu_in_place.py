"""A ReLU in place saves memory and changes nothing else.

points block-test 0
mistake the skip is behind the ReLU, or a ReLU works in place
mistake in-place edit of the input
"""


# %% block
class Block(nn.Module):
    def __init__(self, c_in, c_out, stride=1, zero_init=True):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        for conv in (self.conv1, self.conv2):
            nn.init.normal_(conv.weight, std=math.sqrt(2 / conv.weight[0].numel()))
        if zero_init:
            nn.init.zeros_(self.conv2.weight)
        self.skip = nn.Identity()
        if c_in != c_out or stride > 1:
            self.skip = nn.Conv2d(c_in, c_out, 1, stride, bias=False)
            nn.init.normal_(self.skip.weight, std=math.sqrt(1 / c_in))

    def forward(self, x):
        added = self.conv2(F.relu(self.conv1(F.relu(x, inplace=True)), inplace=True))
        return self.skip(x) + added
