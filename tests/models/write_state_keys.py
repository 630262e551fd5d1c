"""Write state_keys.json anew: ``python tests/models/write_state_keys.py``. Old saved networks then no longer load."""

import hashlib
import json
from pathlib import Path

import torch
from torch import nn

from riffle import zoo

SNAPSHOT = Path(__file__).with_name("state_keys.json")


def keys_of(network: nn.Module) -> str:
    """How many tensors a network saves, and a digest of their names in order."""
    keys = list(network.state_dict())
    return f"{len(keys)} {hashlib.sha256(' '.join(keys).encode()).hexdigest()[:16]}"


def main() -> None:
    with torch.device("meta"):
        rows = {name: keys_of(zoo.create(name)) for name in zoo.names()}
    SNAPSHOT.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
