"""A network from what a person types: a name, a folder, or a function in a file or a package."""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch
from torch import nn

from riffle import registry, zoo


def find_network(source: str, *, on_meta: bool = False) -> nn.Module:
    """The network that ``source`` names, in evaluation mode.

    Args:
        source: a registered name; a folder that Riffle saved; ``file.py:Name`` or ``package.module:name``, a class or
            function that makes a network without arguments. The file or package is run as any program is.
        on_meta: make it without memory for its weights, where it is made here.

    Raises:
        ValueError: there is no such thing, or it makes no network.
    """
    where, colon, name = source.rpartition(":")
    if Path(source).is_dir():
        return zoo.load(source)
    if not colon:
        maker: Callable[[], Any] = lambda: registry.build(source)  # noqa: E731
    else:
        maker = _made_by(_module(where), name, source)
    try:
        with torch.device("meta" if on_meta else "cpu"):
            network = maker()
    except (TypeError, AttributeError, ImportError) as error:
        raise ValueError(f"{source} could not be made: {error}") from error
    if not isinstance(network, nn.Module):
        raise ValueError(f"{source} is a {type(network).__name__}, and makes no torch network")
    return network.eval()


def _module(where: str) -> Any:
    if where.endswith(".py"):
        path = Path(where)
        if not path.exists():
            raise ValueError(f"no file {where}")
        spec = spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.path.insert(0, str(path.parent.resolve()))  # as if it were run: it may import what lies beside it
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise ValueError(f"{where} cannot be run: {type(error).__name__}: {error}") from error
        finally:
            sys.path.pop(0)
        return module
    try:
        return import_module(where)
    except ImportError as error:
        raise ValueError(f"no package or file {where}: {error}") from error


def _made_by(module: Any, name: str, source: str) -> Callable[[], Any]:
    found = getattr(module, name, None)
    if isinstance(found, nn.Module):
        return lambda: found
    if not callable(found):
        raise ValueError(f"{source}: there is nothing called {name} that makes a network")
    return found  # type: ignore[no-any-return]
