"""A patch network in two: what may see a whole scene at once, and what must see window by window."""

import torch
from torch import Tensor, nn

from riffle.layers.image_classifier import ImageClassifier

CLOSE = 1e-4
"""Relative difference that rounding may make; a layer that is not shift-free differs by far more."""


@torch.inference_mode()
def parted(model: nn.Module, window: int, bands: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Trunk and head of a network in evaluation mode: its parts up to the first that is not shift-free, and the others.

    What is shift-free is found out by trial, so any module qualifies. The modules are the network's own. A network
    whose parts give other answers than itself is all head.

    Args:
        model: from windows (batch, bands, window, window), or (batch, 1, bands, window, window), to (batch, classes).
        window: side of the windows in pixels.
        bands: of the reduced scene.
    """
    parts = parts_of(model)
    weight = next((p for p in model.parameters()), torch.zeros(1))
    generator = torch.Generator().manual_seed(0)

    def noise(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=generator).to(weight)

    lead = (1, 1, bands) if starts_in_3d(model) else (1, bands)
    x = noise((*lead, window + 1, window + 2))
    count = 0
    while count < len(parts) - 1:
        answer = _shifted(parts[count], x.clone())
        if answer is None:
            break
        x = noise(answer.shape)  # fresh for each part: behind many layers little would be left of the first signal
        count += 1
    trunk, head = nn.Sequential(*parts[:count]), nn.Sequential(*parts[count:])
    example = noise((*lead, window, window))
    try:
        agrees = torch.allclose(head(trunk(example.clone())), model(example), rtol=CLOSE, atol=CLOSE)
    except (RuntimeError, ValueError):
        agrees = False
    return (trunk, head) if agrees else (nn.Sequential(), nn.Sequential(model))


def parts_of(module: nn.Module) -> list[nn.Module]:
    """What runs one after the other; a module whose order is not known is one part."""
    if isinstance(module, ImageClassifier) and type(module).forward is ImageClassifier.forward:
        children = [module.stem, module.stages, module.neck, module.pool, module.classifier]
    elif isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        children = list(module)
    else:
        return [module]
    return [part for child in children for part in parts_of(child)]


def starts_in_3d(model: nn.Module) -> bool:
    """Whether the network wants an axis of one channel before the bands."""
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)), None)
    return isinstance(first, nn.Conv3d)


def channels_innermost(network: nn.Module) -> None:
    """Store convolutions' weights with the channels innermost, in place: 3-D ones take about half of the time so."""
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        elif isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@torch.inference_mode()
def elements_per_pixel(trunk: nn.Sequential, x: Tensor) -> int:
    """Numbers that the trunk holds for a pixel of its input at its widest place: a layer's input and output."""
    most = x[..., 0, 0].numel()
    for part in trunk:
        before = x[..., 0, 0].numel()
        x = part(x)
        most = max(most, before + x[..., 0, 0].numel())
    return most // len(x)


def _shifted(part: nn.Module, x: Tensor) -> Tensor | None:
    """The part's answer, if a smaller view of the map gives a smaller view of the answer; else None.

    That is what a layer must do that is to run once for many windows: no padding, no stride, no look at the whole map.
    """
    moved = x[..., 1:, 2:].clone()
    try:
        whole, view = part(x), part(moved)
    except (RuntimeError, ValueError, IndexError):  # a layer that wants one size
        return None
    if whole.ndim < 4 or view.ndim != whole.ndim or 0 in view.shape:
        return None
    rows, columns = (a - b for a, b in zip(whole.shape[-2:], view.shape[-2:], strict=True))
    if (rows, columns) != (1, 2):
        return None
    difference = (whole[..., 1:, 2:] - view).abs().max()
    return whole if difference <= CLOSE * whole.abs().max() else None
