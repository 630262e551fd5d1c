"""The bottleneck of MobileNetV2, MobileNetV3 and EfficientNet: wide inside, narrow outside."""

from collections.abc import Callable

from torch import Tensor, nn

from riffle.layers.attention import Gate
from riffle.layers.drop_path import DropPath

Unit = Callable[..., nn.Module]
"""Makes a convolution with its norm and activation, from the arguments of ``ConvNormAct``: a ``partial`` of it fixes
the activation, the norm or the padding of a whole network in one place."""


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, gate, linear 1x1 projection; added to the input where the shapes allow.

    Sandler et al., MobileNetV2, https://arxiv.org/abs/1801.04381, Fig. 3b and Table 1; with a gate Howard et al.,
    Searching for MobileNetV3, https://arxiv.org/abs/1905.02244, Fig. 4. Without a wider inside there is no expansion.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        hidden: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        unit: Unit,
        gate: Gate | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.expand = unit(c_in, hidden) if hidden != c_in else nn.Identity()
        self.depthwise = unit(hidden, hidden, kernel, stride, groups=hidden)
        self.gate = gate(hidden) if gate is not None else nn.Identity()
        self.project = unit(hidden, c_out, act=None)
        self.drop_path = DropPath(drop_path)
        self.is_residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """(batch, c_in, height, width) to (batch, c_out, ceil(height / stride), ceil(width / stride))."""
        y = self.project(self.gate(self.depthwise(self.expand(x))))
        return x + self.drop_path(y) if self.is_residual else y  # type: ignore[no-any-return]
