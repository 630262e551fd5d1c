"""Keep libraries' chatter from the user: what they print, warn and log, in Python and in compiled code."""

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing reaches the terminal meanwhile. What goes wrong is told by exceptions, which pass through."""
    disabled = logging.root.manager.disable
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.callback(logging.disable, disabled)
        logging.disable(logging.CRITICAL)
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor in (1, 2):
            stack.enter_context(_into_nothing(descriptor))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        yield


@contextlib.contextmanager
def _into_nothing(descriptor: int) -> Iterator[None]:
    """Compiled code writes past Python's streams, straight to the file descriptor."""
    try:
        kept = os.dup(descriptor)
    except OSError:  # a service may have closed it
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, descriptor)
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(nothing)
