"""What norms add to the variance before they divide by its root: in no state dict, and not the same everywhere."""

from torch import nn

Norm = nn.modules.batchnorm._NormBase | nn.LayerNorm


def norm_eps(network: nn.Module) -> dict[str, float]:
    """The epsilon of each norm, by its name."""
    return {name: module.eps for name, module in network.named_modules() if isinstance(module, Norm)}


def set_norm_eps(network: nn.Module, eps: float | dict[str, float]) -> None:
    """Set the epsilon of all norms, or of those that are named and still there."""
    for name, module in network.named_modules():
        if isinstance(module, Norm):
            module.eps = eps if isinstance(eps, float) else eps.get(name, module.eps)
