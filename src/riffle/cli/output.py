"""How commands speak: plain lines and small tables."""

import os

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from riffle.training.progress import Reporter


def reporter() -> Reporter:
    """Progress on standard output; of several processes that work together only the first one speaks."""
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    return Reporter(console, quiet=os.environ.get("RANK", "0") != "0")


def next_steps(show: Reporter, *steps: tuple[str, str]) -> None:
    """Lines that tell what one may do now, each with the command or the path."""
    width = max(len(words) for words, _ in steps)
    show.say("")
    for words, command in steps:
        show.say(f"{words:<{width}}  {command}")


def table(*columns: str) -> Table:
    """A borderless table; the first column is text, the others are numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return made


def print_whole(show: Reporter, made: Table) -> None:
    """Print a table without cutting anything off, also where it is wider than the screen, or there is no screen."""
    roomy = show.console.options.update(width=1000, max_width=1000)
    natural = Measurement.get(show.console, roomy, made).maximum
    before, show.console.width = show.console.width, max(show.console.width, natural)
    show.console.print(made)
    show.console.width = before
