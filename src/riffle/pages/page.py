"""Pages that load nothing: templates filled in and written as one file each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from riffle.files import write_text


def write_page(path: Path, template: str, contents: Mapping[str, Any]) -> None:
    """Fill in a template of this package; an older file stays complete until the new one is.

    Raises:
        OSError: the disk is full or the file cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("riffle", "pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["short"] = lambda number, unit="": " ".join(short(number, unit))
    page = environment.get_template(template).render(contents)
    # File names that are not UTF-8 arrive with lone surrogates, which no file can hold.
    write_text(path, page.encode("utf-8", "replace").decode("utf-8"))


def short(number: float, unit: str = "") -> tuple[str, str]:
    """Three digits and a unit with its prefix."""
    for prefix, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * scale:
            return f"{number / scale:.3g}", prefix + unit
    return f"{number:g}", unit
