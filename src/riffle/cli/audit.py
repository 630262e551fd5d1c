"""``riffle audit``."""

from collections.abc import Iterator, Sequence
from pathlib import Path


def audit(data: str, /, *, html: Path | None = None, strict: bool = False) -> None:
    """Look for what spoils a training: unreadable files, pictures in two places, leaks, skewed classes.

    Parameters
    ----------
    data
        Pictures as `riffle train` takes them: a folder, a manifest, shards.
    html
        Write everything, with the pictures, to this file.
    strict
        Fail where something is found, so that a script stops before it trains.
    """
    from riffle.cli.output import next_steps, print_whole, reporter, table
    from riffle.data.audit import audit as look
    from riffle.pages.audit import write_audit

    show = reporter()

    def with_a_bar(pictures: Sequence[object]) -> Iterator[object]:
        with show.bar("looking", len(pictures)) as bar:
            yield from bar.over(pictures)

    found = look(data, over=with_a_bar)
    counts = found.counts()
    parts = sorted(counts)
    listing = table("class", *(part or "pictures" for part in parts))
    for name in sorted({label for counter in counts.values() for label in counter}):
        listing.add_row(name or "(no folder)", *(str(counts[part][name]) for part in parts))
    print_whole(show, listing)
    sides = found.shorter_sides()
    show.say(f"shorter sides {sides['smallest']} to {sides['largest']} pixels, median {sides['median']}")
    for what, count in found.ignored.items():
        show.say(f"ignored: {count} {what}")
    for line in found.unreadable:
        show.say(f"unreadable: {line}")
    for pair in found.pairs:
        how = "equal" if pair.is_exact else "alike"
        why = "LEAK " if pair.is_leak else ""
        show.say(f"{how}: {why}{'TWO CLASSES ' if pair.is_conflict else ''}{pair.first.path} and {pair.second.path}")
    show.say("")
    problems = found.problems()
    for problem in problems or ["nothing wrong was found"]:
        show.say(problem)
    if html is not None:
        write_audit(html, found)
        next_steps(show, ("with the pictures", str(html)))
    if strict and problems:
        raise ValueError(f"{data} is not clean: {problems[0]}")
