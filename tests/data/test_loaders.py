import numpy as np
import pytest
import torch

from riffle.data.images import read
from riffle.data.loaders import EpochBatches, evaluation_loader, training_loader
from riffle.preprocessing import Preprocessing


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
        return [x for x, _ in training_loader(pictures, 24, batches, least_area=0.5, flip=True, workers=workers)]

    assert all(torch.equal(a, b) for a, b in zip(pixels(0), pixels(2), strict=True))


def test_judging_sees_each_picture_once_in_order(folder_of_digits):
    pictures = read(folder_of_digits).train
    preprocessing = Preprocessing(size=16, resize=16)
    batches = list(evaluation_loader(pictures, preprocessing, batch_size=7))
    assert torch.cat([labels for _, labels in batches]).tolist() == pictures.labels.tolist()
    pixels = torch.cat([x for x, _ in batches]).numpy()
    assert pixels.dtype == np.uint8
    assert (pixels[9] == preprocessing.pixels(pictures[9])).all()
