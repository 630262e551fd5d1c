"""Files of weights from anywhere, read without running what is in them."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

WRAPPERS = ("state_dict", "model", "model_state_dict", "state")
"""Where a checkpoint of a training script keeps the weights themselves."""


def read_state(path: Path) -> dict[str, Tensor]:
    """A table of tensors by name: ``.safetensors``, what ``torch.save`` wrote, or that inside a ``.zip``.

    A pickled file keeps the order in which the layers were defined; a ``.safetensors`` file does not.

    Raises:
        ValueError: there is no such file, it is damaged, or it holds more than weights (which is not unpickled).
    """
    if not path.exists():
        raise ValueError(f"no weights at {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        source: Any = path
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                (only,) = archive.namelist()
                source = io.BytesIO(archive.read(only))
        state = torch.load(source, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} holds no weights that can be read: {why}") from error
    except Exception as error:  # what torch's restricted unpickler refuses
        raise ValueError(f"{path} is no file of weights, or holds more than weights: it is not loaded") from error
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
            break
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} is not a table of tensors")
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}
