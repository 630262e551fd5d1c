import re
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from riffle.data.images import read
from riffle.data.loaders import EpochBatches, evaluation_loader, training_loader
from riffle.preprocessing import Preprocessing, UnreadablePicture


@pytest.mark.parametrize(("count", "size"), [(2, 2), (3, 2), (5, 4), (65, 64), (100, 32), (7, 100)])
def test_an_epoch_has_every_picture_once_and_no_batch_of_one(count, size):
    batches = list(EpochBatches(count, size, seed=1))
    assert sorted(index for batch in batches for _, index in batch) == list(range(count))
    assert min(map(len, batches)) >= 2
    assert max(map(len, batches)) <= max(size, 3)


def test_epochs_differ_seeds_differ_and_an_epoch_can_begin_in_the_middle():
    batches = EpochBatches(50, 8, seed=1)
    first = list(batches)
    assert first == list(EpochBatches(50, 8, seed=1)) != list(EpochBatches(50, 8, seed=2))
    batches.start = 3
    assert list(batches) == first[3:]
    assert len(batches) == len(first) - 3
    batches.epoch, batches.start = 1, 0
    assert [index for batch in batches for _, index in batch] != [index for batch in first for _, index in batch]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
def test_worker_processes_change_nothing(folder_of_digits):
    pictures = read(folder_of_digits).train

    def pixels(workers: int) -> list[torch.Tensor]:
        batches = EpochBatches(len(pictures), 8, seed=5)
        loader = training_loader(pictures, Preprocessing(size=24), batches, least_area=0.5, flip=True, workers=workers)
        return [x for x, _ in loader]

    alone = pixels(0)
    for workers in (1, 2):
        assert all(torch.equal(a, b) for a, b in zip(alone, pixels(workers), strict=True))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_vanishes_or_breaks_is_named(folder_of_digits, workers):
    pictures = read(folder_of_digits).train
    for index, content in ((5, None), (9, b"words")):
        path = Path(str(pictures[index]))
        path.unlink()
        if content:
            path.write_bytes(content)
        reason = "not a picture" if content else "No such file or directory"
        with pytest.raises(UnreadablePicture, match=re.escape(f"{path} can no longer be read ({reason})")):
            list(evaluation_loader(pictures.select([0, index, 1]), Preprocessing(size=16, resize=16), workers=workers))


def test_without_a_crop_a_picture_is_the_one_that_is_judged(folder_of_digits):
    pictures, preprocessing = read(folder_of_digits).train, Preprocessing(size=24, resize=32)
    batches = EpochBatches(len(pictures), 8, seed=5)
    judged = [preprocessing.pixels(picture) for picture in pictures]
    for flip in (False, True):
        loader = training_loader(pictures, preprocessing, batches, least_area=0, flip=flip, workers=0)
        mirrored = 0
        for keys, (pixels, _) in zip(batches, loader, strict=True):
            for (_, index), found in zip(keys, pixels.numpy(), strict=True):
                is_same = (found == judged[index]).all()
                assert is_same or (found[:, ::-1] == judged[index]).all()
                mirrored += not is_same
        assert bool(mirrored) == flip


def test_processes_share_every_batch():
    alone = list(EpochBatches(50, 8, seed=1))
    shared = [list(EpochBatches(50, 8, seed=1, process=rank, processes=3)) for rank in range(3)]
    assert [list(chain(*parts)) for parts in zip(*shared, strict=True)] == alone
    few = [list(EpochBatches(9, 4, seed=1, process=rank, processes=2)) for rank in range(2)]
    assert min(len(batch) for batches in few for batch in batches) >= 2  # a batch norm learns nothing from one


def test_judging_sees_each_picture_once_in_order(folder_of_digits):
    pictures = read(folder_of_digits).train
    preprocessing = Preprocessing(size=16, resize=16)
    batches = list(evaluation_loader(pictures, preprocessing, batch_size=7))
    assert torch.cat([labels for _, labels in batches]).tolist() == pictures.labels.tolist()
    pixels = torch.cat([x for x, _ in batches]).numpy()
    assert pixels.dtype == np.uint8
    assert (pixels[9] == preprocessing.pixels(pictures[9])).all()
