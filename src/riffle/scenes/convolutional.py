"""A patch network as convolutions alone, for files that take a scene of any size."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from riffle.scenes.reduction import Reduction
from riffle.scenes.trunk import parted, starts_in_3d

_POINTWISE = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.GELU, nn.Sigmoid, nn.Tanh, nn.Identity)
"""Functions of single numbers: they do the same to a map as to a vector."""


def convolutional(model: nn.Module, *, window: int, bands: int) -> nn.Sequential:
    """The same scores from convolutions: (batch, bands, rows, columns) to (batch, classes, …), window - 1 smaller.

    A linear layer behind a map of side s is a convolution with a kernel of s; one behind that has a kernel of 1.

    Raises:
        ValueError: a part of the network is no such layer: it looks at a window as a whole.
    """
    model = deepcopy(model).eval()
    trunk, head = parted(model, window, bands)
    weight = next(model.parameters())
    example = torch.zeros(1, bands, window, window, dtype=weight.dtype, device=weight.device)
    lead: list[nn.Module] = [nn.Unflatten(1, (1, bands))] if starts_in_3d(model) else []
    with torch.no_grad():
        shape = nn.Sequential(*lead, *trunk)(example).shape[1:]
    if len(shape) != 3:
        raise ValueError("this network's bands are not joined before it looks at a window as a whole")
    return nn.Sequential(*lead, *trunk, *_converted(head, (shape[0], shape[1], shape[2])))


def _converted(head: nn.Sequential, shape: tuple[int, int, int]) -> list[nn.Module]:
    parts: list[nn.Module] = []
    for part in head:
        if isinstance(part, nn.Linear) and part.in_features == shape[0] * shape[1] * shape[2]:
            parts.append(_as_convolution(part, shape))
            shape = (part.out_features, 1, 1)
        elif isinstance(part, nn.AdaptiveAvgPool2d) and part.output_size in (1, (1, 1)):
            parts.append(nn.AvgPool2d(shape[1:], stride=1))
            shape = (shape[0], 1, 1)
        elif isinstance(part, _POINTWISE):
            parts.append(part)
        elif not isinstance(part, nn.Dropout) and not (isinstance(part, nn.Flatten) and part.start_dim == 1):
            raise ValueError(
                f"{type(part).__name__} looks at a window as a whole: this network is no row of convolutions"
            )
    return parts


def _as_convolution(linear: nn.Linear, shape: tuple[int, int, int]) -> nn.Conv2d:
    convolution = nn.Conv2d(shape[0], linear.out_features, shape[1:], bias=linear.bias is not None).to(linear.weight)
    with torch.no_grad():
        convolution.weight.copy_(linear.weight.view_as(convolution.weight))
        if linear.bias is not None:
            assert convolution.bias is not None
            convolution.bias.copy_(linear.bias)
    return convolution


class SceneNetwork(nn.Module):
    """From spectra as they are measured to probabilities: reduction, border, convolutions, softmax."""

    def __init__(self, model: nn.Module, reduction: Reduction, window: int) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.from_numpy(reduction.mean)[:, None, None].clone())
        # Behind the subtraction, not as a bias: raw numbers are large, and their differences small.
        self.matrix = nn.Buffer(torch.from_numpy(reduction.matrix).T[:, :, None, None].contiguous())
        self.convolutions = convolutional(model, window=window, bands=reduction.components)
        self.border = (window // 2, window - 1 - window // 2)

    def forward(self, cube: Tensor) -> Tensor:
        """(1, bands, rows, columns) to (1, classes, rows, columns)."""
        reduced = F.conv2d(cube - self.mean, self.matrix)
        return self.convolutions(F.pad(reduced, self.border * 2)).softmax(1)  # type: ignore[no-any-return]
