"""Flags from a recipe: one for each of its fields, so that no flag is written twice."""

from dataclasses import fields, make_dataclass
from typing import Annotated, Any, get_type_hints

from cyclopts import Parameter


def flags(recipe: type) -> Any:
    """A dataclass with the recipe's fields, to be taken apart into flags; what is not given is None.

    Args:
        recipe: a dataclass, each field with a ``help`` in its metadata.
    """
    hints = get_type_hints(recipe)
    made: Any = make_dataclass(
        "Settings",
        [
            (
                f.name,
                Annotated[hints[f.name] | None, Parameter(help=f"{f.metadata['help']}.", show_default=False)],
                None,
            )
            for f in fields(recipe)
        ],
    )
    made.__module__ = __name__  # a made class counts as a built-in one otherwise, and is not taken apart
    return made


def changes(settings: object | None) -> dict[str, Any]:
    """The settings that were given; the others stay as the recipe has them."""
    return {} if settings is None else {name: value for name, value in vars(settings).items() if value is not None}
