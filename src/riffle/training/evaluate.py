"""Run a network over a set of pictures."""

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader

from riffle.data.images import Pictures
from riffle.data.loaders import Batch, evaluation_loader, workers_for
from riffle.hardware import cores
from riffle.layers.pixel_input import PixelInput
from riffle.preprocessing import Preprocessing
from riffle.training.metrics import Scores
from riffle.training.progress import Reporter


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
    accelerator = accelerator or Accelerator()
    reporter = reporter or Reporter(quiet=True)
    loader = loader or judging_loader(pictures, preprocessing, accelerator)
    network = network.to(accelerator.device)
    to_input = PixelInput(preprocessing).to(accelerator.device)
    was_training = network.training
    network.eval()
    rows: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    with torch.inference_mode(), reporter.bar("judging", len(pictures)) as bar:
        for pixels, truth in loader:
            shares = network(to_input(pixels)).float().softmax(1)
            shares, truth = accelerator.gather_for_metrics((shares, truth))
            rows.append(shares.cpu().numpy())
            labels.append(truth.cpu().numpy())
            bar.advance(len(truth))
    network.train(was_training)
    return Scores(np.concatenate(rows), np.concatenate(labels), pictures.classes)
