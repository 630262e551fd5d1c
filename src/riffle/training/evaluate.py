"""Run a network over a set of pictures."""

from collections.abc import Callable

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from riffle.data.images import Pictures
from riffle.data.loaders import Batch, evaluation_loader, workers_for
from riffle.hardware import cores
from riffle.layers.pixel_input import PixelInput
from riffle.preprocessing import Preprocessing
from riffle.training import processes
from riffle.training.metrics import Scores
from riffle.training.progress import Bar, Reporter


def judging_loader(
    pictures: Pictures, preprocessing: Preprocessing, accelerator: Accelerator, *, batch_size: int = 64
) -> DataLoader[Batch]:
    """Batches of every picture once, shared out among the processes. Its workers live as long as it does."""
    loader = evaluation_loader(pictures, preprocessing, batch_size=batch_size, workers=workers_for(pictures, cores()))
    return accelerator.prepare_data_loader(loader)  # type: ignore[no-any-return]


def evaluate(
    network: nn.Module,
    pictures: Pictures,
    preprocessing: Preprocessing,
    *,
    accelerator: Accelerator | None = None,
    loader: DataLoader[Batch] | None = None,
    reporter: Reporter | None = None,
) -> Scores:
    """Probabilities for every picture, each counted once, with any number of processes.

    Args:
        network: any module from (batch, 3, size, size) to scores (batch, classes); its mode is put back afterwards.
        pictures: what to judge; their classes name the scores' columns.
        preprocessing: how they become input.
        accelerator: the device and processes to use; the default finds them.
        loader: one made by :func:`judging_loader` for these pictures, to judge often with the same workers.
        reporter: shows a bar.
    """
    accelerator = accelerator or processes.accelerator()
    reporter = reporter or Reporter(quiet=True)
    loader = loader or judging_loader(pictures, preprocessing, accelerator)
    was_training = network.training
    network.to(accelerator.device).eval()
    to_input = PixelInput(preprocessing).to(accelerator.device)
    with reporter.bar("judging", len(pictures)) as bar:
        shares, labels = gathered(lambda x: network(to_input(x)).float().softmax(1), loader, accelerator, bar)
    network.train(was_training)
    return Scores(shares.numpy(), labels.numpy(), pictures.classes)


def gathered(
    call: Callable[[Tensor], Tensor], loader: DataLoader[Batch], accelerator: Accelerator, bar: Bar
) -> tuple[Tensor, Tensor]:
    """What a call makes of every picture, and the labels, in the pictures' order and on every process."""
    rows, labels = [], []
    with torch.inference_mode():
        for pixels, truth in loader:
            found, truth = accelerator.gather_for_metrics((call(pixels), truth))
            rows.append(found.cpu())
            labels.append(truth.cpu())
            bar.advance(len(truth))
    return torch.cat(rows), torch.cat(labels)
