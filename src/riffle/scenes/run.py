"""What a training on a scene leaves behind, as files that say what they are: nothing in them is ever executed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from riffle.files import replacing, write_json
from riffle.scenes import networks
from riffle.scenes.recipe import SceneRecipe
from riffle.scenes.reduction import Reduction
from riffle.scenes.splits import Split
from riffle.weights.native import fill

FORMAT = 1
RUN, WEIGHTS, RESULTS = "run.json", "model.safetensors", "results.json"
_PIXELS = ("train", "validation", "test")


@dataclass(frozen=True)
class Setup:
    """What identifies a run: the same set-up in the same folder goes on, another one is refused."""

    scene: str
    truth: str | None
    model: str
    classes: tuple[str, ...]
    recipe: SceneRecipe

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "format": FORMAT,
            "scene": self.scene,
            "truth": self.truth,
            "model": self.model,
            "classes": list(self.classes),
            "recipe": self.recipe.to_dict(),
        }

    @classmethod
    def read(cls, folder: Path) -> "Setup":
        """The set-up in a folder; raises ``ValueError`` where there is none."""
        path = folder / RUN
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found.pop("format") != FORMAT:
                raise KeyError("format")
            recipe = SceneRecipe.from_dict(found.pop("recipe"))
            return cls(classes=tuple(found.pop("classes")), recipe=recipe, **found)
        except FileNotFoundError:
            raise ValueError(f"{folder} is no run of a scene: it has no {RUN}") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is damaged or not of this version: {error}") from error

    def claim(self, folder: Path) -> None:
        """Make the folder this run's.

        Raises:
            ValueError: it holds another run, or other files.
        """
        if (folder / RUN).exists():
            stored = Setup.read(folder)
            mine, theirs = ({**one.to_dict(), **one.recipe.to_dict()} for one in (self, stored))
            names = [name for name in mine if name != "recipe" and mine[name] != theirs[name]]
            if names:
                listed = "; ".join(f"{name} {theirs[name]}, not {mine[name]}" for name in names[:3])
                raise ValueError(f"{folder} holds another run ({listed}): choose another folder")
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} exists and is no run of a scene: choose another folder")
        else:
            write_json(folder / RUN, self.to_dict())


@dataclass(frozen=True)
class Trained:
    """A trained network with all that turns a scene into its input."""

    setup: Setup
    network: nn.Module
    reduction: Reduction
    split: Split


def save_trained(trained: Trained, folder: Path) -> None:
    """Write network, reduction and split as one file; raises ``OSError`` when the disk is full."""
    tensors = {
        f"network.{name}": tensor.detach().cpu().contiguous() for name, tensor in trained.network.state_dict().items()
    }
    tensors["reduction.mean"] = torch.from_numpy(trained.reduction.mean)
    tensors["reduction.matrix"] = torch.from_numpy(trained.reduction.matrix).contiguous()
    for name in _PIXELS:
        tensors[f"split.{name}"] = torch.from_numpy(getattr(trained.split, name))
    notes = {"left_out": json.dumps(trained.split.left_out)}
    with replacing(folder / WEIGHTS) as draft:
        draft.write_bytes(save(tensors, metadata=notes))


def load_trained(folder: str | Path, *, seed: int | None = None) -> Trained:
    """A run's network, in evaluation mode; of several seeds the first when ``seed`` is left out.

    Raises:
        ValueError: there is no finished training, or its files are damaged.
    """
    folder = Path(folder)
    setup = Setup.read(folder)
    path = seed_folder(folder, setup.recipe.seed if seed is None else seed) / WEIGHTS
    if not path.exists():
        raise ValueError(f"{folder} has no finished network at {path.parent.name}/{WEIGHTS}")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
            left_out = tuple(json.loads((file.metadata() or {})["left_out"]))
        reduction = Reduction(tensors["reduction.mean"].numpy(), tensors["reduction.matrix"].numpy())
        train, validation, test = (tensors[f"split.{name}"].numpy() for name in _PIXELS)
        split = Split(train, validation, test, left_out)
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    network = networks.build(
        setup.model, bands=reduction.components, classes=len(setup.classes), window=setup.recipe.window
    )
    prefix = "network."
    fill(network, {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}, source=str(path))
    return Trained(setup, network.eval(), reduction, split)


def seed_folder(folder: Path, seed: int) -> Path:
    """Where a run keeps what one seed gave."""
    return folder / f"seed-{seed}"


def write_array(path: Path, values: npt.NDArray[Any]) -> None:
    """An array as ``.npy``, whole or not at all."""
    with replacing(path) as draft, draft.open("wb") as file:
        np.save(file, values)
