"""Run an exported file. Needs onnxruntime, numpy and Pillow; imports no torch."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from riffle.hardware import cores
from riffle.preprocessing import SUFFIXES, Picture, Pixels, Preprocessing, UnreadablePicture

METADATA = "riffle"
"""Key in an ONNX file's metadata under which classes and preprocessing travel, as JSON."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One class for a picture, with its probability."""

    label: str
    probability: float


class PictureClassifier(ABC):
    """From pictures to named probabilities; a file or a network computes them."""

    preprocessing: Preprocessing
    classes: tuple[str, ...]

    @abstractmethod
    def probabilities(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Pixels uint8 (batch, size, size, 3), red first, to shares (batch, classes) that sum to 1."""

    def classify(self, picture: Picture, *, top: int = 5) -> list[Prediction]:
        """The ``top`` most probable classes of one picture, the likeliest first.

        ``picture`` is a file, its bytes, a Pillow image or an array uint8 (height, width, 3) of any size.

        Raises:
            UnreadablePicture: it cannot be decoded.
            ValueError: it is a folder, for which there is :meth:`classify_folder`.
        """
        if isinstance(picture, str | Path) and Path(picture).is_dir():
            raise ValueError(f"{picture} is a folder: classify_folder goes through one")
        return self._named(self.probabilities(self.preprocessing.pixels(picture)[None])[0], top)

    def classify_folder(
        self, folder: str | Path, *, top: int = 5, batch_size: int = 16
    ) -> Iterator[tuple[Path, list[Prediction] | UnreadablePicture]]:
        """Every picture below a folder, in order of its path; for one that cannot be decoded, why.

        Raises:
            ValueError: no such folder, or no pictures in it.
        """
        paths = pictures_below(Path(folder))
        for start in range(0, len(paths), batch_size):
            part = paths[start : start + batch_size]
            decoded = [_pixels_or_reason(self.preprocessing, path) for path in part]
            good = [pixels for pixels in decoded if not isinstance(pixels, UnreadablePicture)]
            shares = iter(self.probabilities(np.stack(good)) if good else ())
            for path, pixels in zip(part, decoded, strict=True):
                yield path, pixels if isinstance(pixels, UnreadablePicture) else self._named(next(shares), top)

    def _named(self, shares: npt.NDArray[np.float32], top: int) -> list[Prediction]:
        best = np.argsort(-shares, kind="stable")[:top]
        return [Prediction(self.classes[index], float(shares[index])) for index in best]


class Session(PictureClassifier):
    """An exported file, ready to classify pictures.

    Args:
        path: a file that ``riffle export`` wrote.
        threads: cores to compute on; None for all that are available.

    Raises:
        ValueError: no such file, not an ONNX file, or not one of Riffle's.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise ValueError(f"no file at {self.path}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or cores()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no class of their own
            raise ValueError(f"{self.path} is not an ONNX file that can be run") from error
        facts = _facts(self._session.get_modelmeta().custom_metadata_map, self.path)
        self.preprocessing = Preprocessing.from_dict(facts["preprocessing"])
        self.classes: tuple[str, ...] = tuple(facts["classes"])
        self.name: str = facts["name"]
        self.expected: dict[str, Any] = facts.get("expected", {})

    def probabilities(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Run the file on a batch of any size."""
        (shares,) = self._session.run(None, {self._session.get_inputs()[0].name: pixels})
        return np.asarray(shares)


def pictures_below(folder: Path) -> Sequence[Path]:
    """Paths of the pictures in a folder and the folders in it, sorted; raises ``ValueError`` where there are none."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not paths:
        raise ValueError(f"{folder} holds no pictures")
    return paths


def _pixels_or_reason(preprocessing: Preprocessing, path: Path) -> Pixels | UnreadablePicture:
    try:
        return preprocessing.pixels(path)
    except UnreadablePicture as reason:
        return reason


def _facts(metadata: dict[str, str], path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(metadata[METADATA])
        return {"preprocessing": facts["preprocessing"], "classes": facts["classes"], **facts}
    except (KeyError, TypeError, json.JSONDecodeError):
        raise ValueError(f"{path} was not exported by Riffle: it tells no classes and no preprocessing") from None
