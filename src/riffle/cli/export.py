"""``riffle export``."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from riffle.training.progress import Reporter
    from riffle.verbs.export import Exported


def export(
    run: Path,
    /,
    *,
    to: str = "onnx",
    out: Path | None = None,
    data: Path | None = None,
    precision: Literal["float32", "float16", "bfloat16"] = "float32",
    batch: Literal["any", "one"] | None = None,
    form: Literal["plain", "unshuffled", "padded8", "padded16"] | None = None,
    tune: bool = False,
    calibrate: bool = False,
) -> None:
    """Write a run's network to files that need no torch, proven to give the same answers.

    Batch norms are folded and channel shuffles removed, then each file and the run's network classify every held-out
    picture; a file that disagrees on one is not kept.

    Parameters
    ----------
    run
        A run's folder.
    to
        Runtimes to write for, with commas between them: onnx, openvino, executorch, litert, ncnn.
    out
        The file to write, or a folder for several; in RUN when left out.
    data
        Pictures to prove them on; the run's held-out ones when left out.
    precision
        What to compute in, where the runtime has a choice.
    batch
        Pictures that a file takes at once; what the runtime does best when left out.
    form
        Whether channel shuffles stay (plain), are removed, or are removed with slices of channels padded to a multiple
        of 8 or 16; what is known to be fastest in the runtime when left out.
    tune
        Measure all forms on this machine, and ship the fastest.
    calibrate
        Divide the scores by the temperature that fits the run's held-out pictures best, so that the probabilities mean
        what they say. No label changes.
    """
    from riffle.cli.output import next_steps, reporter
    from riffle.deployment.runtimes import RUNTIMES, runtime_of, runtimes_named
    from riffle.verbs.export import Exported, Refused, Settings, export_all, export_run

    show = reporter()
    settings = Settings(precision, batch, form, tune, calibrate)
    runtimes = runtimes_named(to)
    if not runtimes:
        raise ValueError(f"no runtime is named: --to takes some of {', '.join(RUNTIMES)}")
    name = run.resolve().name
    if len(runtimes) == 1 and out is not None and not out.is_dir():
        paths = [out]
        if runtime_of(out) != runtimes[0]:
            raise ValueError(f"the name of a file for {runtimes[0].title} ends in {runtimes[0].suffix}; got {out}")
    else:
        paths = [(out or run) / f"{name}{runtime.suffix}" for runtime in runtimes]
    if len(paths) == 1:
        made = export_run(run, paths[0], data=data, settings=settings, reporter=show)
        _say_tuned(made, show)
        show.say(f"{made.path}: {made.size / 1e6:.2f} MB; file and network agree: {made.agreement.told()}")
        next_steps(show, ("classify a picture", f"riffle predict {made.path} PICTURE"))
        return
    results = export_all(run, paths, data=data, settings=settings, reporter=show)
    good = [result for result in results if isinstance(result, Exported)]
    if good:
        for made in good:
            _say_tuned(made, show)
        _print_table(good, show)
    if refused := [result for result in results if isinstance(result, Refused)]:
        raise ValueError("; ".join(f"no {result.path.name}: {result.reason}" for result in refused))
    next_steps(show, ("measure them again", f"riffle bench {' '.join(str(path) for path in paths)}"))


def _say_tuned(made: "Exported", show: "Reporter") -> None:
    """What the forms took, where they were measured."""
    if made.tuned:
        times = ", ".join(f"{form} {latency.median:.2f} ms" for form, latency in made.tuned.items())
        show.say(f"{made.runtime.title}: {times}; shipped: {made.form}")


def _print_table(good: list["Exported"], show: "Reporter") -> None:
    """Size, load time, latency and agreement of each file, measured side by side."""
    from riffle.cli.output import print_whole, table
    from riffle.verbs.bench import bench

    measured = bench([str(made.path) for made in good])
    listing = table("file", "form", "precision", "MB", "load ms", "ms", "x first", "pictures", "largest difference")
    for made, row in zip(good, measured, strict=True):
        listing.add_row(
            made.path.name,
            made.form,
            made.precision,
            f"{made.size / 1e6:.2f}",
            f"{row.load:.0f}",
            f"{row.latency.median:.2f}",
            f"{row.ratio:.2f}",
            str(made.agreement.pictures),
            f"{made.agreement.largest_difference:.1g}",
        )
    print_whole(show, listing)
    show.say(f"ms: median of {measured[0].latency.rounds} interleaved rounds, one picture at a time, one thread")
    show.say("every file gives the same label as the network on every picture")
