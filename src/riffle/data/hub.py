"""Data sets on the Hugging Face Hub, fetched by ``datasets`` and kept in its cache."""

import re
from pathlib import Path

from riffle.data.listing import Listing
from riffle.data.tables import list_tables

_ADDRESS = re.compile(
    r"hf://datasets/(?P<repository>\w[\w.-]*/(?P<name>\w[\w.-]*))(?:@(?P<revision>[^\s@#]+))?(?:#(?P<config>\S+))?",
    re.ASCII,
)


def is_address(data: str | Path) -> bool:
    """Whether words name a data set of the Hub, as the Hub's own library and others write it."""
    return isinstance(data, str) and data.startswith("hf://")


def name_of(address: str) -> str:
    """The data set's name without its owner."""
    return _parsed(address)["name"]


def list_hub(address: str) -> Listing:
    """The pictures of a data set that is fetched, unless it was before; no code of it is run.

    Args:
        address: ``hf://datasets/OWNER/NAME``, with ``@REVISION`` and ``#CONFIGURATION`` where there are several.

    Raises:
        ValueError: there is no such data set, it does not fit, or the Hub does not answer.
    """
    parsed = _parsed(address)
    import datasets  # seconds to import, so only where pictures are read

    try:
        tables = datasets.load_dataset(parsed["repository"], parsed["config"], revision=parsed["revision"])
    except OSError as error:
        if error.errno is not None:  # the disk, not the Hub
            raise
        raise ValueError(_told(address, error)) from error
    except Exception as error:  # the library's errors have no kind in common
        raise ValueError(_told(address, error)) from error
    return list_tables(tables, address)


def _parsed(address: str) -> re.Match[str]:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(f"a data set on the Hub is called hf://datasets/OWNER/NAME; got {address}")
    return match


def _told(address: str, error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    hint = ": add the one to use as #CONFIGURATION" if "onfig name is missing" in lines[0] else ""
    return f"{address} cannot be had: {' '.join(lines[:2])[:300]}{hint}"
