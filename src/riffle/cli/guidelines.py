"""``riffle guidelines``."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from riffle.training.progress import Reporter
    from riffle.verbs.guidelines import Lab


def guidelines(
    model: str | None = None,
    /,
    *,
    size: int | None = None,
    quick: bool = False,
    threads: int = 1,
    batch: int = 1,
    rounds: int = 10,
    device: str | None = None,
    html: Path | None = None,
    csv: Path | None = None,
) -> None:
    """Judge a network by the four guidelines; without one, test on this machine whether the guidelines hold.

    The test runs Tables 1 to 4 of the ShuffleNet V2 paper and times the groups and shuffles of ShuffleNet V1, in turn,
    and puts what comes out beside the paper's: about ten minutes, or one with --quick.

    Parameters
    ----------
    model
        A name as `riffle models` lists them, a run's folder, or FILE.py:NAME or PACKAGE.MODULE:NAME that makes one.
    size
        Side of the model's pictures in pixels; its own when left out.
    quick
        Test the narrowest widths only, with fewer rounds.
    threads
        Computing threads to measure with.
    batch
        Pictures, or maps, that are run together.
    rounds
        Times that each of a model's operations is measured.
    device
        Where to test: cpu or cuda; a graphics card where there is one when left out.
    html
        Write the test's tables and plots to this file.
    csv
        Write a line for each setting of the test to this file.
    """
    from riffle.cli.output import next_steps, reporter
    from riffle.verbs.guidelines import guidelines as judge
    from riffle.verbs.guidelines import run_lab

    show = reporter()
    if model is not None:
        if html or csv or quick:
            raise ValueError("--html, --csv and --quick belong to the test: leave the network out")
        verdict = judge(model, size=size, threads=threads, batch=batch, rounds=rounds)
        show.say(
            f"{model}: what breaks the guidelines of ShuffleNet V2, the most costly first" * (not verdict.is_clean)
        )
        show.say(str(verdict) if not verdict.is_clean else f"{model} {verdict}")
        next_steps(show, ("each operation", f"riffle profile {model} --by operation --time"))
        return
    found = run_lab(quick=quick, threads=threads, batch=batch, device=device)
    _tell(show, found)
    if csv is not None:
        from riffle.files import write_csv
        from riffle.pages.lab import rows

        write_csv(csv, rows(found.experiments))
    if html is not None:
        from riffle.pages.lab import write_lab

        write_lab(
            html,
            experiments=found.experiments,
            verdicts=found.verdicts(),
            ablations=found.ablations,
            setting=found.setting,
        )
        next_steps(show, ("tables and plots", str(html)))


def _tell(show: "Reporter", found: "Lab") -> None:
    """Every table, then the verdicts."""
    from riffle.cli.output import print_whole, table

    for experiment in found.experiments:
        show.say(f"\n{experiment.guideline} {experiment.title} (Table {experiment.table}, widths x{experiment.scale})")
        listing = table("setting", "widths", "MACs", "ms", "quartiles", "speed here", "phone", "GPU")
        for row in experiment.rows:
            listing.add_row(
                row.setting.name,
                " ".join(map(str, row.setting.widths)),
                f"{row.macs / 1e6:.1f} M",
                f"{row.latency.median:.3f}",
                f"{row.latency.lower:.3f} to {row.latency.upper:.3f}",
                f"{row.relative:.2f}",
                f"{row.paper['arm']:.2f}",
                f"{row.paper['gpu']:.2f}",
            )
        print_whole(show, listing)
    show.say("\nShuffleNet V1 with and without its shuffles (its paper's Table 3 has the errors)")
    listing = table("network", "MACs", "ms", "without", "the shuffles take", "error without", "error with")
    for ablation in found.ablations:
        errors = (f"{error:.1f} %" for error in ablation.errors or ())
        times = (f"{ablation.shuffled.median:.2f}", f"{ablation.plain.median:.2f}", f"{100 * ablation.cost:.1f} %")
        listing.add_row(ablation.name, f"{ablation.macs / 1e6:.1f} M", *times, *errors)
    print_whole(show, listing)
    show.say(f"\nverdicts on this machine ({found.setting})")
    listing = table("guideline", "widths", "holds", "faster by here", "on the paper's phone", "GPU")
    for verdict in found.verdicts():
        effects = (f"{verdict[key]:.2f} times" for key in ("here", "phone", "gpu"))
        name = f"{verdict['guideline']} {verdict['about']}"
        listing.add_row(name, f"x{verdict['scale']}", "yes" if verdict["holds"] else "no", *effects)
    print_whole(show, listing)
