"""``riffle compare``."""

from pathlib import Path


def compare(*runs: Path, data: str | None = None) -> None:
    """Judge runs on the same pictures: what differs, and whether the difference is more than chance.

    Parameters
    ----------
    runs
        Two runs' folders or more; each is compared with the first.
    data
        Folder with CLASS/PICTURE, or with a val folder; the runs' own held-out pictures when left out.
    """
    from riffle.cli.output import print_whole, reporter, table
    from riffle.verbs.compare import compare as judge

    show = reporter()
    found = judge(runs, data=data, reporter=show)
    listing = table("run", "top-1 %", "loss", "only the first right", "only this right", "by chance")
    for run in found:
        numbers = (f"{run.scores.top1:.2f}", f"{run.scores.loss:.4f}")
        against = ("", "", "") if run is found[0] else (str(run.only_first), str(run.only_this), f"{run.chance:.3f}")
        listing.add_row(run.name, *numbers, *against)
    print_whole(show, listing)
    for run in found[1:]:
        for difference in run.differences:
            show.say(f"{run.name}: {difference}")
        verdict = "more than chance would do" if run.chance < SURE else "no more than chance would do"
        show.say(f"{run.name}: the difference is {verdict} ({len(run.scores.labels)} pictures, McNemar's test)")


SURE = 0.05
"""Probability below which a difference is not put down to chance."""
