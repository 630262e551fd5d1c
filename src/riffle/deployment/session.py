"""Run an exported file. Needs its runtime, numpy and Pillow; imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from riffle.deployment.engine import Engine, read_facts
from riffle.deployment.quiet import quiet
from riffle.deployment.runtimes import in_one_line, runtime_of
from riffle.hardware import cores
from riffle.preprocessing import SUFFIXES, Picture, Pixels, Preprocessing, UnreadablePicture


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
    """An exported file, ready to classify pictures; the ending of its name tells the runtime.

    Args:
        path: a file that ``riffle export`` wrote.
        threads: cores to compute on; None for all that are available.

    Raises:
        ValueError: no such file, not one that its runtime can run, not one of Riffle's, or the runtime is missing.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        self.path = Path(path)
        runtime = runtime_of(self.path)
        for part in runtime.parts(self.path):
            if not part.is_file():
                raise ValueError(f"no file at {part}")
        runtime.require()
        self.runtime = runtime.name
        try:
            with quiet():
                self._engine: Engine = runtime.module().Engine(self.path, threads or cores())
        except Exception as error:  # the runtimes' errors share no class
            raise ValueError(f"{self.path} is not a file that {runtime.title} can run: {in_one_line(error)}") from error
        try:
            facts = read_facts(self._engine.facts)
            self.preprocessing = Preprocessing.from_dict(facts["preprocessing"])
        except ValueError as error:
            raise ValueError(f"{self.path} {error}") from None
        self.classes: tuple[str, ...] = tuple(facts["classes"])
        self.name: str = facts["name"]
        self.precision: str = facts.get("precision", "float32")
        self.rewrites: tuple[str, ...] = tuple(facts.get("rewrites", ()))
        self.temperature: float = facts.get("temperature", 1.0)

    def probabilities(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Run the file on a batch of any size; picture by picture where it takes no more than one."""
        if self._engine.takes_batches or len(pixels) == 1:
            return self._engine.run(pixels)
        return np.concatenate([self._engine.run(pixels[index : index + 1]) for index in range(len(pixels))])

    def bound(self, pixels: npt.NDArray[np.uint8]) -> Callable[[], object]:
        """A call that runs one batch again and again with nothing around it, for measuring time."""
        return self._engine.bound(pixels)


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
