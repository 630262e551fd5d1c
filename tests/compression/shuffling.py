"""Networks that shuffle, split and concatenate channels, in the ways found in the wild."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(c_in: int, c_out: int, kernel: int = 1, stride: int = 1, *, act: type[nn.Module] | None = nn.ReLU, **options):
    layers = [
        nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False, **options),
        nn.BatchNorm2d(c_out),
        *([act(inplace=True)] if act else []),
    ]
    return nn.Sequential(*layers)


def by_views(x: Tensor, groups: int) -> Tensor:
    """torchvision's way: five dimensions."""
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    return torch.transpose(x, 1, 2).contiguous().view(batch, channels, height, width)


def by_index(x: Tensor, groups: int) -> Tensor:
    order = torch.arange(x.shape[1]).view(groups, -1).t().reshape(-1)
    return x.index_select(1, order)


def by_stack(x: Tensor, groups: int) -> Tensor:
    return torch.stack(x.chunk(groups, dim=1), dim=2).flatten(1, 2)


class Unit(nn.Module):
    """A basic unit: split, transform a part, join, shuffle."""

    def __init__(self, channels, *, shuffle=by_views, act=nn.ReLU, gate=None, first=None, groups=2):
        super().__init__()
        self.first = channels // 2 if first is None else first
        rest = channels - self.first
        self.branch = nn.Sequential(
            conv(rest, rest, act=act), conv(rest, rest, 3, groups=rest, act=None), conv(rest, rest, act=act)
        )
        self.gate = gate(rest) if gate else nn.Identity()
        self.shuffle, self.groups = shuffle, groups

    def forward(self, x):
        passed, taken = torch.split(x, [self.first, x.shape[1] - self.first], dim=1)
        return self.shuffle(torch.cat((passed, self.gate(self.branch(taken))), dim=1), self.groups)


class Down(nn.Module):
    def __init__(self, c_in, c_out, *, shuffle=by_views, groups=2):
        super().__init__()
        half = c_out // 2
        self.left = nn.Sequential(conv(c_in, c_in, 3, 2, groups=c_in, act=None), conv(c_in, half))
        self.right = nn.Sequential(conv(c_in, half), conv(half, half, 3, 2, groups=half, act=None), conv(half, half))
        self.shuffle, self.groups = shuffle, groups

    def forward(self, x):
        return self.shuffle(torch.cat((self.left(x), self.right(x)), 1), self.groups)


class SqueezeExcite(nn.Module):
    """With linear layers, as most write it."""

    def __init__(self, channels):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(channels, 4), nn.ReLU(inplace=True), nn.Linear(4, channels), nn.Hardsigmoid())

    def forward(self, x):
        b, c, _, _ = x.size()
        return x * self.fc(F.adaptive_avg_pool2d(x, 1).view(b, c)).view(b, c, 1, 1)


class Classifier(nn.Module):
    def __init__(self, *units, c_in=16, c_out=16):
        super().__init__()
        self.stem = conv(3, c_in, 3, 2)
        self.units = nn.Sequential(*units)
        self.head = conv(c_out, 24)
        self.fc = nn.Linear(24, 5)

    def forward(self, x):
        return self.fc(self.head(self.units(self.stem(x))).mean([2, 3]))


class Detector(nn.Module):
    """A backbone whose three stages are looked at from outside."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 12, 3, 2), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.ModuleList(
            nn.Sequential(Down(c_in, c_out), *(Unit(c_out) for _ in range(3)))
            for c_in, c_out in ((12, 16), (16, 24), (24, 32))
        )

    def forward(self, x):
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features)


class Pose(nn.Module):
    """Two branches of shuffle units side by side, at two resolutions, that exchange what they have."""

    def __init__(self):
        super().__init__()
        self.stem = conv(3, 16, 3, 2)
        self.down = conv(16, 32, 3, 2)
        self.high = nn.Sequential(*(Unit(16, shuffle=channel_shuffle) for _ in range(3)))
        self.low = nn.Sequential(*(Unit(32) for _ in range(3)))
        self.to_low = nn.Sequential(conv(16, 16, 3, 2, groups=16, act=None), conv(16, 32, act=None))
        self.to_high = nn.Sequential(conv(32, 16, act=None), nn.Upsample(scale_factor=2, mode="nearest"))
        self.high_again = nn.Sequential(*(Unit(16) for _ in range(2)))
        self.low_again = nn.Sequential(*(Unit(32) for _ in range(2)))
        self.head = nn.Conv2d(48, 7, 1)

    def forward(self, x):
        high = self.stem(x)
        low = self.low(self.down(high))
        high = self.high(high)
        high, low = F.relu(high + self.to_high(low)), F.relu(low + self.to_low(high))
        high, low = self.high_again(high), self.low_again(low)
        low = F.interpolate(low, size=high.shape[2:], mode="bilinear", align_corners=False)
        return self.head(torch.cat((high, low), 1))


def channel_shuffle(x, groups):
    return F.channel_shuffle(x, groups)


class ShuffleLayer(nn.Module):
    """Calls the layer that torch has for it."""

    def __init__(self, groups):
        super().__init__()
        self.layer = nn.ChannelShuffle(groups)

    def forward(self, x, groups):
        return self.layer(x)


class InputSideUnit(nn.Module):
    """The authors' release: even and odd channels, told apart with the batch folded in."""

    def __init__(self, channels):
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(conv(half, half), conv(half, half, 3, groups=half, act=None), conv(half, half))

    def forward(self, x):
        batch, channels, height, width = x.shape
        x = x.reshape(batch * channels // 2, 2, height * width).permute(1, 0, 2)
        x = x.reshape(2, -1, channels // 2, height, width)
        return torch.cat((x[0], self.branch(x[1])), 1)


class Strided(nn.Module):
    """The same by slices with a step."""

    def __init__(self, channels):
        super().__init__()
        self.branch = conv(channels // 2, channels // 2)

    def forward(self, x):
        return torch.cat((x[:, ::2], self.branch(x[:, 1::2])), 1)


class Residual(nn.Module):
    """Half of the channels pass; the other is added to what it was."""

    def __init__(self, channels):
        super().__init__()
        self.branch = nn.Sequential(conv(channels // 2, channels // 2), conv(channels // 2, channels // 2, 3, act=None))

    def forward(self, x):
        passed, taken = x.chunk(2, 1)
        taken = taken + self.branch(taken)
        return by_views(torch.cat((passed, F.relu(taken)), 1), 2)


class Across(nn.Module):
    """A residual addition across several units."""

    def __init__(self, channels):
        super().__init__()
        self.units = nn.Sequential(Unit(channels), Unit(channels), Unit(channels))
        self.last = conv(channels, channels, act=None)

    def forward(self, x):
        out = self.last(self.units(x))
        out += x
        return F.relu(out, inplace=True)


class SameChannelsAcross(nn.Module):
    """An addition of a tensor and its own shuffle: no order is right for both."""

    def forward(self, x):
        return x + by_views(x, 2)


class ThreeWays(nn.Module):
    """Split in three, one part through a convolution, shuffled in three groups."""

    def __init__(self, channels):
        super().__init__()
        self.branch = conv(channels // 3, channels // 3, 3)

    def forward(self, x):
        one, two, three = x.split(x.shape[1] // 3, 1)
        return by_views(torch.cat((one, two, self.branch(three)), 1), 3)


class GroupedUnit(nn.Module):
    """ShuffleNet V1: the shuffle between grouped convolutions."""

    def __init__(self, channels, groups=2, shuffle=by_views):
        super().__init__()
        self.first, self.second = (conv(channels, channels, groups=groups) for _ in range(2))
        self.middle = conv(channels, channels, 3, groups=channels, act=None)
        self.groups, self.shuffle = groups, shuffle

    def forward(self, x):
        return F.relu(x + self.second(self.middle(self.shuffle(self.first(x), self.groups))))


class Flat(nn.Module):
    """Flattens more than one pixel a channel before a linear layer."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(conv(3, 8, 3, 2), Unit(8), Unit(8), Unit(8), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.fc = nn.Sequential(nn.Dropout(0.1), nn.Linear(32, 6), nn.ReLU(), nn.Linear(6, 4))

    def forward(self, x):
        return self.fc(self.body(x))


class Multiplier(nn.Module):
    """Depthwise convolutions with two filters a channel."""

    def __init__(self):
        super().__init__()
        self.units = nn.Sequential(Unit(8), Unit(8))
        self.wide = nn.Conv2d(8, 16, 3, padding=1, groups=8)
        self.more = nn.Sequential(nn.PReLU(16), Unit(16), Unit(16))

    def forward(self, x):
        return self.more(self.wide(self.units(x)))


class TwoReaders(nn.Module):
    """A tensor that is read in its own order and in another."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(conv(3, 8, 3), Unit(8), Unit(8), Unit(8))
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.dense = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x):
        x = self.body(x)
        return self.grouped(x) + self.dense(x), x[:, 2:5], x


class Scaled(nn.Module):
    """A factor for each channel, and a gate over all channels."""

    def __init__(self, channels):
        super().__init__()
        self.gamma = nn.Parameter(torch.randn(1, channels, 1, 1))
        self.unit = Unit(channels)
        self.space = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x):
        x = self.unit(x * self.gamma)
        maps = torch.cat((x.mean(1, keepdim=True), x.amax(dim=1, keepdim=True)), 1)
        return x * torch.sigmoid(self.space(maps))


class Shared(nn.Module):
    """One branch called twice."""

    def __init__(self, channels):
        super().__init__()
        self.branch = conv(channels // 2, channels // 2)

    def forward(self, x):
        for _ in range(2):
            passed, taken = x.chunk(2, 1)
            x = by_views(torch.cat((passed, self.branch(taken)), 1), 2)
        return x


class Functional(nn.Module):
    """Layers as functions of parameters."""

    def __init__(self, channels):
        super().__init__()
        half = channels // 2
        self.weight = nn.Parameter(torch.randn(half, half, 1, 1) / half**0.5)
        self.bias = nn.Parameter(torch.randn(half))
        self.norm = nn.BatchNorm2d(half)

    def forward(self, x):
        passed, taken = x.chunk(2, 1)
        taken = F.conv2d(taken, self.weight, self.bias)
        n = self.norm
        taken = F.batch_norm(taken, n.running_mean, n.running_var, n.weight, n.bias, False, 0.1, n.eps)
        return by_views(torch.cat((passed, F.hardswish(taken)), 1), 2)


class Branching(nn.Module):
    """Looks at a size in Python, which only torch.export can follow."""

    def __init__(self, channels):
        super().__init__()
        self.units = nn.Sequential(Unit(channels), Unit(channels), Unit(channels))

    def forward(self, x):
        if x.shape[1] != 16:
            raise ValueError("16 channels")
        return self.units(x)


def repeated(unit, count=4):
    return Classifier(*(unit() for _ in range(count)))


FREED = {
    "detector": Detector,
    "pose": Pose,
    "squeeze and excitation": lambda: repeated(lambda: Unit(16, gate=SqueezeExcite)),
    "hard-swish": lambda: repeated(lambda: Unit(16, act=nn.Hardswish)),
    "three groups": lambda: Classifier(conv(16, 24), *(Unit(24, groups=3) for _ in range(3)), c_out=24),
    "four groups": lambda: repeated(lambda: Unit(16, groups=4)),
    "three ways": lambda: Classifier(conv(16, 18), *(ThreeWays(18) for _ in range(3)), c_out=18),
    "the layer": lambda: repeated(lambda: Unit(16, shuffle=ShuffleLayer(2))),
    "the function": lambda: repeated(lambda: Unit(16, shuffle=channel_shuffle)),
    "by index": lambda: repeated(lambda: Unit(16, shuffle=by_index)),
    "by stack": lambda: repeated(lambda: Unit(16, shuffle=by_stack)),
    "on the input side": lambda: repeated(lambda: InputSideUnit(16)),
    "strided slices": lambda: repeated(lambda: Strided(16)),
    "odd halves": lambda: Classifier(Down(16, 58), *(Unit(58) for _ in range(3)), c_out=58),
    "odd parts": lambda: repeated(lambda: Unit(16, first=5)),
    "residual": lambda: Classifier(conv(16, 32), *(Residual(32) for _ in range(3)), c_out=32),
    "residual across": lambda: Classifier(Across(16), Across(16)),
    "flattened": Flat,
    "two filters a channel": lambda: Classifier(conv(16, 8), Multiplier()),
    "two readers": TwoReaders,
    "scaled": lambda: repeated(lambda: Scaled(16), 2),
    "functional": lambda: repeated(lambda: Functional(16), 3),
    "exported": lambda: Classifier(Branching(16)),
}
"""Networks without a shuffle after the rewrite."""

KEPT = {
    "between grouped convolutions": lambda: Classifier(GroupedUnit(16), GroupedUnit(16)),
    "between three groups, by the layer": lambda: Classifier(
        conv(16, 18), GroupedUnit(18, 3, ShuffleLayer(3)), c_out=18
    ),
    "added to its own shuffle": lambda: Classifier(SameChannelsAcross()),
}
"""Networks whose shuffle stays, with the reason."""
