"""Riffle: small, fast vision networks, from a folder of pictures to a verified file.

The names below are loaded when they are first used, so ``import riffle`` is instant and imports no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Preprocessing": "riffle.preprocessing",
    "Recipe": "riffle.training.recipe",
    "Run": "riffle.verbs.train",
    "Session": "riffle.deployment.session",
    "UnreadablePicture": "riffle.preprocessing",
    "VerificationError": "riffle.deployment.verify",
    "create": "riffle.zoo",
    "evaluate": "riffle.verbs.evaluate",
    "export": "riffle.verbs.export",
    "fuse": "riffle.compression",
    "guidelines": "riffle.verbs.guidelines",
    "load": "riffle.zoo",
    "names": "riffle.zoo",
    "profile": "riffle.profiling.cost",
    "push": "riffle.verbs.push",
    "replace_head": "riffle.training.transfer",
    "train": "riffle.verbs.train",
    "unshuffle": "riffle.compression",
}

__all__ = [
    "Preprocessing",
    "Recipe",
    "Run",
    "Session",
    "UnreadablePicture",
    "VerificationError",
    "__version__",
    "create",
    "evaluate",
    "export",
    "fuse",
    "guidelines",
    "load",
    "names",
    "profile",
    "push",
    "replace_head",
    "train",
    "unshuffle",
]

if TYPE_CHECKING:
    from riffle.compression import fuse, unshuffle
    from riffle.deployment.session import Session
    from riffle.deployment.verify import VerificationError
    from riffle.preprocessing import Preprocessing, UnreadablePicture
    from riffle.profiling.cost import profile
    from riffle.training.recipe import Recipe
    from riffle.training.transfer import replace_head
    from riffle.verbs.evaluate import evaluate
    from riffle.verbs.export import export
    from riffle.verbs.guidelines import guidelines
    from riffle.verbs.push import push
    from riffle.verbs.train import Run, train
    from riffle.zoo import create, load, names


def __getattr__(name: str) -> Any:
    if name in ("weights", "scenes"):  # packages: riffle.scenes.dense(...) works after `import riffle` alone
        return import_module(f"riffle.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'riffle' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
