"""The ShuffleNets once more, as plain functions of a list of tensors, written from the papers and the released layout.

Slow and without modules: the shuffle is an index, the split a slice, batch normalization its formula. Nothing of the
package is used, so that both can only agree by computing the same thing.
"""

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

    def conv_norm(self, x: Tensor, *, stride: int = 1) -> Tensor:
        """Convolution and normalization; how many groups follows from the shapes."""
        weight, gamma, beta, mean, variance = (self.take() for _ in range(5))
        x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=x.shape[1] // weight.shape[1])
        gamma, beta, mean, variance = (v[:, None, None] for v in (gamma, beta, mean, variance))
        return (x - mean) / torch.sqrt(variance + 1e-5) * gamma + beta

    def stem(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.relu(self.conv_norm(x, stride=2)), 3, 2, 1)

    def classify(self, x: Tensor) -> Tensor:
        scores = x.mean(dim=(2, 3)) @ self.take().T
        if self.left:
            scores = scores + self.take()
        assert not self.left
        return scores


def shufflenet_v2_authors(network: torch.nn.Module, x: Tensor) -> Tensor:
    """Units split even from odd channels; the projection of the first unit of a stage keeps its input's width."""
    tensors = Tensors(network)

    def branch(x: Tensor, stride: int) -> Tensor:
        x = F.relu(tensors.conv_norm(x))
        x = tensors.conv_norm(x, stride=stride)
        return F.relu(tensors.conv_norm(x))

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


def shufflenet_v1(network: torch.nn.Module, x: Tensor, *, groups: int, released: bool) -> Tensor:
    """Fig. 2b and 2c.

    The paper shuffles after the first convolution: groups are rows, columns are read. The release does so after the
    second, and in the other direction: channel ``j * groups + i`` goes to place ``i * (channels / groups) + j``.
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
        return tensors.conv_norm(shuffle(x) if released else x)

    x = tensors.stem(x)
    for units in UNITS:
        x = torch.cat([F.avg_pool2d(x, 3, 2, 1), F.relu(branch(x, 2))], dim=1)
        for _ in range(units - 1):
            x = F.relu(x + branch(x, 1))
    return tensors.classify(x)
