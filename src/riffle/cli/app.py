"""Dispatch: the command's file is imported when it is called, and its errors become one line."""

import errno
import os
import re
import sys
import warnings

from cyclopts import App, CycloptsError

from riffle import __version__
from riffle.cli import COMMANDS, HELP

DEBUG = "RIFFLE_DEBUG"
"""Environment variable that, when set, shows tracebacks and the libraries' warnings."""


def application() -> App:
    """All commands, loaded when they are used."""
    app = App(name="riffle", help=HELP, version=__version__, result_action="return_value")
    for name, purpose in COMMANDS.items():
        app.command(f"riffle.cli.{name}:{name}", name=name, help=purpose)
    return app


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit status: 0, 1 for an error, 130 for an interruption."""
    debug = bool(os.environ.get(DEBUG))
    if not debug:
        warnings.simplefilter("ignore")
    try:
        application()(arguments, exit_on_error=False, print_error=False)
    except KeyboardInterrupt:
        is_training = arguments[0] in ("train", "demo") or arguments[:2] == ["scene", "train"]
        goes_on = "; the same command goes on from the last checkpoint" if is_training else ""
        sys.stderr.write(f"interrupted{goes_on}\n")
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except CycloptsError as error:
        sys.stderr.write(f"error: {_told(error)}\n`riffle {' '.join(arguments[:1])} --help` tells what it takes\n")
        return 1
    except (ValueError, ArithmeticError, OSError, RuntimeError) as error:
        if debug:
            raise
        sys.stderr.write(f"error: {_told(error)}\n")
        return 1
    return 0


def _told(error: Exception) -> str:
    """An error in words for a person."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full; what was saved before is intact, and the same command goes on from there"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if any(line.startswith("Traceback") or "Original Traceback" in line for line in lines):  # from a worker process
        return re.sub(r"^[\w.]+(Error|Exception|UnreadablePicture): ", "", lines[-1])
    return " ".join(lines)
