"""``riffle export``."""

from pathlib import Path
from typing import Literal


def export(run: Path, /, *, to: Literal["onnx"] = "onnx", out: Path | None = None, data: Path | None = None) -> None:
    """Write a run's network to a file that needs no torch, proven to give the same answers.

    Batch norms are folded, then the file and the run's network classify every held-out picture; a file that
    disagrees on one is not kept.

    Parameters
    ----------
    run
        A run's folder.
    to
        The file's kind.
    out
        The file to write; RUN/NAME.onnx when left out.
    data
        Pictures to prove it on; the run's held-out ones when left out.
    """
    from riffle.cli.output import next_steps, reporter
    from riffle.verbs.export import export_run

    show = reporter()
    path = out or run / f"{run.resolve().name}.{to}"
    agreement = export_run(run, path, data=data, reporter=show)
    show.say(f"{path}: {path.stat().st_size / 1e6:.2f} MB; file and network agree: {agreement.told()}")
    next_steps(show, ("classify a picture", f"riffle predict {path} PICTURE"))
