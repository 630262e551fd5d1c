"""Random networks whose signal reaches the output, and how far two of their outputs differ."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


def randomize(network: nn.Module, *, seed: int = 0) -> nn.Module:
    """Random weights that keep the signal's variance, random statistics and affine values; float64, evaluation.

    With small weights the signal dies on its way and swapped layers go unnoticed.
    """
    generator = torch.Generator().manual_seed(seed)
    network.double().eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            gain = 2 if isinstance(module, nn.Conv2d) else 1
            module.weight.data.normal_(std=math.sqrt(gain / fan_in), generator=generator)
            if module.bias is not None:
                module.bias.data.normal_(std=0.1, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            if module.affine:
                module.weight.data.uniform_(0.7, 1.4, generator=generator)
                module.bias.data.normal_(std=0.2, generator=generator)
            if module.track_running_stats:
                module.running_mean.normal_(std=0.2, generator=generator)
                module.running_var.uniform_(0.5, 2.0, generator=generator)
        elif isinstance(module, nn.LayerNorm):
            module.weight.data.uniform_(0.7, 1.4, generator=generator)
            module.bias.data.normal_(std=0.2, generator=generator)
        elif not isinstance(module, nn.modules.conv._ConvNd | nn.modules.batchnorm._NormBase):
            for parameter in module.parameters(recurse=False):  # stacked projections, embeddings, tokens, positions
                fan_in = parameter.shape[-1] if parameter.ndim == 2 else 1
                parameter.data.normal_(std=math.sqrt(1 / fan_in), generator=generator)
    return network


def pictures(shape) -> Tensor:
    """The two random pictures that networks are compared on."""
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def settle(network: nn.Module, shape=(3, 64, 64)) -> nn.Module:
    """Let each norm take the statistics of what reaches it from the pictures that are compared.

    Where branches are added up layer after layer, random statistics let the signal grow until gates are wide open or
    shut, and rounding decides which.
    """

    def measure(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    hooks = [m.register_forward_pre_hook(measure) for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        network(pictures(shape))
    for hook in hooks:
        hook.remove()
    return network


def relative_difference(first: Callable[[Tensor], Tensor], second: Callable[[Tensor], Tensor], shape=(3, 64, 64)):
    """Largest difference of two networks' outputs, relative to how much another input changes the output.

    The size of the output would not do: most of it can be a constant that no input changes.
    """
    x = pictures(shape)
    with torch.no_grad():
        one, other = first(x), second(x)
    assert one.shape == other.shape
    change = (one[0] - one[1]).abs().max()
    assert change > 1e-2 * one.abs().max(), "the signal died on its way: this comparison would see nothing"
    return ((one - other).abs().max() / change).item()
