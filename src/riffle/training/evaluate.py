"""Run a network over a set of pictures."""

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from riffle.data.images import Pictures
from riffle.data.loaders import evaluation_loader, workers_for
from riffle.hardware import cores
from riffle.layers.pixel_input import PixelInput
from riffle.preprocessing import Preprocessing
from riffle.training.metrics import Scores
from riffle.training.progress import Reporter


def evaluate(
    network: nn.Module,
    pictures: Pictures,
    preprocessing: Preprocessing,
    *,
    batch_size: int = 64,
    accelerator: Accelerator | None = None,
    reporter: Reporter | None = None,
) -> Scores:
    """Probabilities for every picture, each counted once, with any number of processes.

    Args:
        network: any module from (batch, 3, size, size) to scores (batch, classes); its mode is put back afterwards.
        pictures: what to judge; their classes name the scores' columns.
        preprocessing: how they become input.
        batch_size: pictures at a time in each process.
        accelerator: the device and processes to use; the default finds them.
        reporter: shows a bar.
    """
    accelerator = accelerator or Accelerator()
    reporter = reporter or Reporter(quiet=True)
    loader = evaluation_loader(pictures, preprocessing, batch_size=batch_size, workers=workers_for(pictures, cores()))
    loader = accelerator.prepare_data_loader(loader)
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
