"""Where the time of a training goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds by name, from :meth:`lap` to lap."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Count what happens inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def told(self) -> str:
        """Each name with its share and seconds, and begin anew."""
        total = sum(self.seconds.values()) or 1.0
        line = ", ".join(f"{name} {100 * s / total:.0f} % ({s:.2f} s)" for name, s in self.seconds.items())
        self.seconds.clear()
        return line
