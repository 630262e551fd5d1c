"""The ShuffleNets once more, as plain functions of a list of tensors, written from the papers and the released layout.

Slow and without modules: the shuffle is an index, the split a slice, batch normalization its formula. Nothing of the
package is used, so that both can only agree by computing the same thing.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

UNITS = (4, 8, 4)


class Tensors:
    """A network's tensors, handed out in the order in which it lists them."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.left = [v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")]

    def take(self) -> Tensor:
        return self.left.pop(0)

    def conv_norm(self, x: Tensor, *, stride: int = 1, eps: float = 1e-5) -> Tensor:
        """Convolution and normalization; how many groups follows from the shapes."""
        weight, gamma, beta, mean, variance = (self.take() for _ in range(5))
        x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=x.shape[1] // weight.shape[1])
        gamma, beta, mean, variance = (v[:, None, None] for v in (gamma, beta, mean, variance))
        return (x - mean) / torch.sqrt(variance + eps) * gamma + beta

    def squeeze_excite(self, x: Tensor) -> Tensor:
        """Two matrices with biases."""
        squeeze, first, excite, second = (self.take().flatten(1) if i % 2 == 0 else self.take() for i in range(4))
        weights = torch.sigmoid(F.relu(x.mean(dim=(2, 3)) @ squeeze.T + first) @ excite.T + second)
        return x * weights[:, :, None, None]

    def stem(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.relu(self.conv_norm(x, stride=2)), 3, 2, 1)

    def classify(self, x: Tensor) -> Tensor:
        scores = x.mean(dim=(2, 3)) @ self.take().T
        if self.left:
            scores = scores + self.take()
        assert not self.left
        return scores


def shufflenet_v2_authors(network: torch.nn.Module, x: Tensor) -> Tensor:
    """Units split even from odd channels; the projection of the first unit of a stage keeps its input's width.

    A branch of four parts has a gate at its end (Appendix Fig. 2b).
    """
    tensors = Tensors(network)
    gated = len(network.stages[0][1].branch) == 4

    def branch(x: Tensor, stride: int) -> Tensor:
        x = F.relu(tensors.conv_norm(x))
        x = tensors.conv_norm(x, stride=stride)
        x = F.relu(tensors.conv_norm(x))
        return tensors.squeeze_excite(x) if gated else x

    def projection(x: Tensor) -> Tensor:
        kept = F.relu(tensors.conv_norm(tensors.conv_norm(x, stride=2)))
        assert kept.shape[1] == x.shape[1]
        return kept

    x = tensors.stem(x)
    for units in UNITS:
        right = branch(x, 2)  # listed before the projection
        x = torch.cat([projection(x), right], dim=1)
        for _ in range(units - 1):
            x = torch.cat([x[:, 0::2], branch(x[:, 1::2], 1)], dim=1)
    return tensors.classify(F.relu(tensors.conv_norm(x)))


def shufflenet_v2_deep(network: torch.nn.Module, x: Tensor, *, units: tuple[int, ...], residual: bool) -> Tensor:
    """Appendix Table 2 from plain convolutions; ``residual`` is Fig. 2c, whose first units are those of 2b."""
    tensors = Tensors(network)

    def branch(x: Tensor, stride: int, *, adds: bool) -> Tensor:
        y = F.relu(tensors.conv_norm(x))
        y = tensors.conv_norm(tensors.conv_norm(y, stride=stride))
        if not residual:
            return F.relu(y)
        return F.relu(x + tensors.squeeze_excite(y)) if adds else tensors.squeeze_excite(F.relu(y))

    def shuffle(left: Tensor, right: Tensor) -> Tensor:
        return torch.stack((left, right), dim=2).flatten(1, 2)

    x = F.relu(tensors.conv_norm(x, stride=2))
    if residual:
        x = F.relu(tensors.conv_norm(F.relu(tensors.conv_norm(x))))
    x = F.max_pool2d(x, 3, 2, 1)
    for count, stride in zip(units, (1, 2, 2, 2), strict=True):
        projected = F.relu(tensors.conv_norm(tensors.conv_norm(x, stride=stride)))
        x = shuffle(projected, branch(x, stride, adds=False))
        half = x.shape[1] // 2
        for _ in range(count - 1):
            x = shuffle(x[:, :half], branch(x[:, half:], 1, adds=True))
    return tensors.classify(F.relu(tensors.conv_norm(x)))


def shufflenet_v2_large(network: torch.nn.Module, x: Tensor, *, units: tuple[int, ...]) -> Tensor:
    """Even channels pass, odd ones go through 1x1, grouped 3x3, 1x1 and a gate, and are added to themselves."""
    tensors = Tensors(network)
    conv_norm = partial(tensors.conv_norm, eps=1e-9)

    def branch(x: Tensor, stride: int) -> Tensor:
        x = F.relu(conv_norm(F.relu(conv_norm(x)), stride=stride))
        return tensors.squeeze_excite(conv_norm(x))

    x = F.relu(conv_norm(x, stride=2))
    x = F.max_pool2d(F.relu(conv_norm(F.relu(conv_norm(x)))), 3, 2, 1)
    for count, stride in zip(units, (1, 2, 2, 2), strict=True):
        projected = conv_norm(x[:, 0::2], stride=stride)
        x = F.relu(torch.cat([projected, branch(x[:, 1::2], stride)], dim=1))
        if stride == 2:
            x = F.relu(conv_norm(x))
        for _ in range(count - 1):
            x = F.relu(torch.cat([x[:, 0::2], x[:, 1::2] + branch(x[:, 1::2], 1)], dim=1))
    return tensors.classify(F.relu(conv_norm(x)))


def shufflenet_v2_plus(network: torch.nn.Module, x: Tensor) -> Tensor:
    """The depthwise kernels' sizes follow from the weights; here stands what does not: where three are in a row."""
    tensors = Tensors(network)

    def hard_sigmoid(x: Tensor) -> Tensor:
        return torch.clamp(x + 3, 0, 6) / 6

    def hard_swish(x: Tensor) -> Tensor:
        return x * hard_sigmoid(x)

    def gate(x: Tensor) -> Tensor:
        squeezed = F.relu(tensors.conv_norm(x.mean(dim=(2, 3), keepdim=True)))
        return x * hard_sigmoid(F.conv2d(squeezed, tensors.take()))

    x = hard_swish(tensors.conv_norm(x, stride=2))
    for stage, count in enumerate((4, 4, 8, 4)):
        act = hard_swish if stage else F.relu
        for unit in range(count):
            stride = 1 if unit else 2
            passed, y = (x[:, 0::2], x[:, 1::2]) if unit else (x, x)
            if (stage, unit) in ((0, 2), (3, 2)):
                for _ in range(3):
                    y = act(tensors.conv_norm(tensors.conv_norm(y)))
            else:
                y = act(tensors.conv_norm(y))
                y = act(tensors.conv_norm(tensors.conv_norm(y, stride=stride)))
            if stage >= 2:
                y = gate(y)
            if not unit:
                passed = act(tensors.conv_norm(tensors.conv_norm(x, stride=2)))
            x = torch.cat([passed, y], dim=1)
    x = gate(hard_swish(tensors.conv_norm(x)).mean(dim=(2, 3), keepdim=True)).flatten(1)
    x = hard_swish(x @ tensors.take().T) @ tensors.take().T
    assert not tensors.left
    return x


def shufflenet_v1(
    network: torch.nn.Module, x: Tensor, *, groups: int, released: bool = False, gated: str = "no"
) -> Tensor:
    """Fig. 2b and 2c.

    The paper shuffles after the first convolution: groups are rows, columns are read. The release does so after the
    second, and in the other direction: channel ``j * groups + i`` goes to place ``i * (channels / groups) + j``.
    ``gated`` says what squeeze-and-excitation weighs: no, branch or output (of a unit of stride 2).
    """
    tensors = Tensors(network)

    def shuffle(x: Tensor) -> Tensor:
        each = x.shape[1] // groups
        rows = torch.arange(x.shape[1]).tolist()
        if released:
            return x[:, [rows[j * groups + i] for i in range(groups) for j in range(each)]]
        return x[:, [rows[i * each + j] for j in range(each) for i in range(groups)]]

    def branch(x: Tensor, stride: int) -> Tensor:
        x = F.relu(tensors.conv_norm(x))
        x = tensors.conv_norm(x, stride=stride) if released else tensors.conv_norm(shuffle(x), stride=stride)
        x = tensors.conv_norm(shuffle(x) if released else x)
        return tensors.squeeze_excite(x) if gated == "branch" or (gated == "output" and stride == 1) else x

    x = tensors.stem(x)
    for units in UNITS:
        x = torch.cat([F.avg_pool2d(x, 3, 2, 1), branch(x, 2)], dim=1)
        x = F.relu(tensors.squeeze_excite(x) if gated == "output" else x)
        for _ in range(units - 1):
            x = F.relu(x + branch(x, 1))
    return tensors.classify(x)
