"""Flags from a recipe: one for each of its fields, so that no flag is written twice."""

from dataclasses import fields, make_dataclass
from typing import Annotated, Any, get_type_hints

from cyclopts import Parameter


def flags(recipe: type, **others: tuple[Any, str]) -> Any:
    """A dataclass with the recipe's fields, to be taken apart into flags; what is not given is None.

    Args:
        recipe: a dataclass, each field with a ``help`` in its metadata.
        others: types and helps of fields whose flags take more than the recipe does.
    """
    hints = get_type_hints(recipe)
    kinds = {f.name: (hints[f.name], f.metadata["help"]) for f in fields(recipe)} | others
    made: Any = make_dataclass(
        "Settings",
        [
            (name, Annotated[kind | None, Parameter(help=f"{about}.", show_default=False)], None)
            for name, (kind, about) in kinds.items()
        ],
    )
    made.__module__ = __name__  # a made class counts as a built-in one otherwise, and is not taken apart
    return made


def changes(settings: object | None) -> dict[str, Any]:
    """The settings that were given; the others stay as the recipe has them."""
    return {} if settings is None else {name: value for name, value in vars(settings).items() if value is not None}
