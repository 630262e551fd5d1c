"""Features of a frozen network, computed once and kept on disk: what a head alone learns from."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from riffle.data.images import Pictures
from riffle.files import cache_folder, replacing
from riffle.layers.pixel_input import PixelInput
from riffle.preprocessing import Preprocessing
from riffle.training.evaluate import gathered, judging_loader
from riffle.training.progress import Reporter

DIGEST = 16
"""Bytes of a picture's hash."""


def features_of(
    network: nn.Module,
    parts: Sequence[Pictures],
    preprocessing: Preprocessing,
    accelerator: Accelerator,
    *,
    reporter: Reporter | None = None,
    folder: Path | None = None,
) -> list[Tensor]:
    """What reaches the classifier from every picture, float32 (pictures, ...), taken from the cache where it is there.

    A feature belongs to a picture's content, the weights before the classifier and the preprocessing, so other folders,
    splits and names find it again, and nothing that changed is taken for what it was.

    Args:
        network: with ``forward_features`` and ``pool``; in evaluation mode afterwards.
        parts: of the data, as what is learned from and what is held out; the rows of each come in its order.
        preprocessing: how they become input.
        accelerator: device and processes; only the first process writes.
        reporter: shows a bar.
        folder: of the cache; the user's own when left out.
    """
    path = (folder or cache_folder() / "features") / f"{_key(network, preprocessing, accelerator)}.safetensors"
    digests = [[_digest(picture) for picture in part] for part in parts]
    known = _read(path)
    count = len(known)
    accelerator.wait_for_everyone()  # nobody reads any more
    for part, own in zip(parts, digests, strict=True):
        if missing := [index for index, digest in enumerate(own) if digest not in known]:
            computed = _computed(network, part.select(missing), preprocessing, accelerator, reporter)
            known |= {own[index]: row for index, row in zip(missing, computed, strict=True)}
    if len(known) > count and accelerator.is_main_process:
        _write(path, known)
    return [torch.stack([known[digest] for digest in own]) for own in digests]


def has_trunk(network: nn.Module) -> bool:
    """Whether the network tells what reaches its classifier."""
    return all(hasattr(network, name) for name in ("forward_features", "pool", "classifier"))


def _key(network: nn.Module, preprocessing: Preprocessing, accelerator: Accelerator) -> str:
    """A hash of everything but the pictures that a feature depends on."""
    trunk = [(name, part) for name, part in network.named_children() if name != "classifier"]
    settings = json.dumps([preprocessing.to_dict(), accelerator.mixed_precision], sort_keys=True)
    found = hashlib.sha256(f"{trunk!r}{settings}".encode())
    for _, part in trunk:
        for name, tensor in part.state_dict().items():
            found.update(name.encode())
            found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:32]


def _digest(picture: str | bytes) -> bytes:
    content = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    return hashlib.sha256(content).digest()[:DIGEST]


def _computed(
    network: nn.Module,
    pictures: Pictures,
    preprocessing: Preprocessing,
    accelerator: Accelerator,
    reporter: Reporter | None,
) -> Tensor:
    network.to(accelerator.device).eval()
    to_input = PixelInput(preprocessing).to(accelerator.device)
    loader = judging_loader(pictures, preprocessing, accelerator)
    parts: Any = network  # with the parts that the head needs to be told apart

    def trunk(pixels: Tensor) -> Tensor:
        with accelerator.autocast():
            return parts.pool(parts.forward_features(to_input(pixels))).float()  # type: ignore[no-any-return]

    with (reporter or Reporter(quiet=True)).bar("features", len(pictures)) as bar:
        return gathered(trunk, loader, accelerator, bar)[0]


def _read(path: Path) -> dict[bytes, Tensor]:
    """Rows by digest; none where there is no file or it is damaged."""
    try:
        table = load_file(path)
        digests = [row.tobytes() for row in table["content"].numpy()]
        return dict(zip(digests, table["features"], strict=True))
    except (OSError, SafetensorError, KeyError, ValueError):
        return {}


def _write(path: Path, known: dict[bytes, Tensor]) -> None:
    content = torch.frombuffer(bytearray(b"".join(known)), dtype=torch.uint8).reshape(-1, DIGEST)
    with replacing(path) as draft:
        draft.write_bytes(save({"content": content, "features": torch.stack(list(known.values()))}))
