"""A trained scene network as an ONNX file: spectra in, probabilities out, for scenes of any size."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from riffle.deployment.onnx import write
from riffle.files import replacing
from riffle.scenes.convolutional import SceneNetwork
from riffle.scenes.inference import dense
from riffle.scenes.run import Trained

TOLERANCE = 1e-4
"""Largest difference of a probability between the file and the pass in PyTorch, both in float32."""


def export(trained: Trained, path: Path, example: np.ndarray) -> float:
    """Write the file, proven on a part of a scene; returns the largest difference of a probability.

    The file takes ``cube``, float32 (1, bands, rows, columns), and gives ``probabilities`` (1, classes, rows, columns);
    its metadata has the class names and the window. No file is left that gives other answers.

    Args:
        trained: network and reduction.
        path: of the file.
        example: spectra (rows, columns, bands) to prove it on, at two sizes.

    Raises:
        ValueError: the network cannot be written as convolutions, or the file gives other answers.
        OSError: the disk is full.
    """
    window = trained.setup.recipe.window
    network = SceneNetwork(trained.network, trained.reduction, window).eval()
    cube = torch.from_numpy(np.moveaxis(np.asarray(example, dtype=np.float32), -1, 0)[None].copy())
    sides = {2: torch.export.Dim("rows", min=2), 3: torch.export.Dim("columns", min=2)}
    facts = {"classes": list(trained.setup.classes), "window": window}
    with replacing(path) as draft:
        write(network, cube, draft, takes="cube", gives="probabilities", dynamic=sides, facts=json.dumps(facts))
        difference = max(_difference(draft, trained, part) for part in (cube, cube[:, :, 1:, 3:]))
        if not difference <= TOLERANCE:
            raise ValueError(f"{path.name} gives other probabilities than the network, by up to {difference:.2g}")
    return difference


def _difference(path: Path, trained: Trained, cube: torch.Tensor) -> float:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (shares,) = session.run(None, {"cube": cube.numpy()})
    spectra = np.moveaxis(cube[0].numpy(), 0, -1)
    scores = dense(trained.network, window=trained.setup.recipe.window)(
        torch.from_numpy(trained.reduction.scene(spectra))
    )
    return float(np.abs(shares[0] - scores.softmax(0).numpy()).max())
