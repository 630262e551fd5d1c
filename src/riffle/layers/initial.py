"""First weights for networks that no batch normalization keeps in range."""

from torch import nn


def he_normal(network: nn.Module) -> None:
    """Draw weights so that a layer and its ReLU keep the signal's size; biases start at zero.

    He et al., Delving Deep into Rectifiers, https://arxiv.org/abs/1502.01852, equation 10. Under PyTorch's own first
    weights each layer without normalization shrinks the variance to a sixth, and sixteen of them let nothing through.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
