"""Batches of pixels in a given order, decoded in worker processes."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from riffle.data.augment import centre, random_crop
from riffle.data.images import Pictures
from riffle.data.readable import reason_of
from riffle.preprocessing import Picture, Pixels, Preprocessing, UnreadablePicture

TINY = 4096
"""Bytes of an encoded picture that is decoded faster than it is handed over between processes."""

Key = tuple[int, int]
"""Epoch and index: what a worker needs to know to vary a picture anew in every epoch."""

Batch = tuple[Tensor, Tensor]
"""Pixels uint8 (batch, size, size, 3) and labels int64 (batch)."""


class EpochBatches(Sampler[list[Key]]):
    """A new order for every epoch, drawn from the seed; can begin in the middle of one.

    The pictures are dealt out evenly, so no batch is nearly empty (a batch norm can't learn from one picture) and no
    picture is left out. Of several processes each gets its part of every batch, so that a step is the same step with
    any number of them.
    """

    def __init__(self, count: int, batch_size: int, seed: int, *, process: int = 0, processes: int = 1) -> None:
        self.count = count
        self.seed = seed
        self.process, self.processes = process, processes
        self.epoch = 0
        self.start = 0
        self.batches = max(1, min(-(-count // batch_size), count // (2 * processes)))

    def __iter__(self) -> Iterator[list[Key]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.count)
        for part in np.array_split(order, self.batches)[self.start :]:
            yield [(self.epoch, int(index)) for index in np.array_split(part, self.processes)[self.process]]

    def __len__(self) -> int:
        return self.batches - self.start


class _Varied(Dataset[Batch]):
    """Training pictures, each cropped and flipped by numbers drawn from seed, epoch and index: workers don't matter."""

    def __init__(
        self, pictures: Pictures, preprocessing: Preprocessing, seed: int, least_area: float, flip: bool
    ) -> None:
        self.pictures = pictures
        self.labels = pictures.labels
        self.seed = seed
        self.crop = (
            partial(random_crop, size=preprocessing.size, least_area=least_area, flip=flip)
            if least_area
            else partial(centre, preprocessing=preprocessing, flip=flip)
        )

    def __getitem__(self, key: Key) -> tuple[Pixels, int]:  # type: ignore[override]
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        return _decoded(self.pictures, index, partial(self.crop, rng=rng)), int(self.labels[index])


class _Fixed(Dataset[Batch]):
    """Pictures as the preprocessing has them."""

    def __init__(self, pictures: Pictures, preprocessing: Preprocessing) -> None:
        self.pictures = pictures
        self.labels = pictures.labels
        self.preprocessing = preprocessing

    def __getitem__(self, index: int) -> tuple[Pixels, int]:  # type: ignore[override]
        return _decoded(self.pictures, index, self.preprocessing.pixels), int(self.labels[index])

    def __len__(self) -> int:
        return len(self.pictures)


def training_loader(
    pictures: Pictures,
    preprocessing: Preprocessing,
    batches: EpochBatches,
    *,
    least_area: float,
    flip: bool,
    workers: int,
) -> DataLoader[Batch]:
    """Varied pictures in the order of ``batches``; with a ``least_area`` of 0 their centres, as when judging."""
    varied = _Varied(pictures, preprocessing, batches.seed, least_area, flip)
    return _loader(varied, workers, batch_sampler=batches)


def evaluation_loader(
    pictures: Pictures, preprocessing: Preprocessing, *, batch_size: int = 64, workers: int = 0
) -> DataLoader[Batch]:
    """Each picture once, in its order."""
    return _loader(_Fixed(pictures, preprocessing), workers, batch_size=batch_size)


def workers_for(pictures: Pictures, available: int) -> int:
    """Worker processes that decode: one for each core but the first; none for tiny pictures that lie in a table.

    On one core, and for these, a worker costs more in handing over than it decodes.
    """
    first = pictures[0] if len(pictures) else b""
    return 0 if isinstance(first, bytes) and len(first) < TINY else max(0, available - 1)


def _decoded(pictures: Pictures, index: int, decode: Callable[[Picture], Pixels]) -> Pixels:
    picture: Picture = b""
    try:
        picture = pictures[index]
        return decode(picture)
    except (UnreadablePicture, OSError) as error:
        # All could be read when the training began: in the middle of an epoch none is left out unsaid.
        raise UnreadablePicture(
            f"{pictures.name(index)} can no longer be read ({reason_of(error, picture)}): put it back, and the same "
            "command goes on from the last checkpoint"
        ) from error


def _collate(items: list[tuple[Pixels, int]]) -> Batch:
    pixels, labels = zip(*items, strict=True)
    return torch.from_numpy(np.stack(pixels)), torch.tensor(labels)


def _loader(dataset: Dataset[Batch], workers: int, **order: object) -> DataLoader[Batch]:
    return DataLoader(
        dataset,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=_collate,
        **order,  # type: ignore[arg-type]
    )
