"""``riffle bench``."""

from pathlib import Path


def bench(
    *sources: str,
    threads: int = 1,
    rounds: int = 50,
    size: int | None = None,
    cold: bool = False,
    csv: Path | None = None,
) -> None:
    """Measure exported files and networks side by side: time, size, load time and memory.

    Parameters
    ----------
    sources
        Exported files of any runtime, run folders, and networks by their names.
    threads
        Computing threads of each.
    rounds
        Times that each is measured.
    size
        Side of the pictures for networks; their own when left out. A file has its own.
    cold
        Time single calls in turn, each after all the others had the cache, instead of blocks of ten calls.
    csv
        Write the table to this file, with hardware and versions.
    """
    from riffle.cli.output import print_whole, reporter, table
    from riffle.files import write_csv
    from riffle.verbs.bench import bench as measure
    from riffle.verbs.bench import rows

    show = reporter()
    measured = measure(sources, threads=threads, rounds=rounds, size=size, cold=cold, reporter=show)
    listing = table("", "runtime", "precision", "pixels", "ms", "quartiles", "x first", "MB", "load ms", "memory MB")
    for one in measured:
        time = one.latency
        listing.add_row(
            one.source,
            one.runtime,
            one.precision,
            str(one.pixels),
            f"{time.median:.2f}",
            f"{time.lower:.2f} to {time.upper:.2f}",
            f"{one.ratio:.2f}",
            f"{one.size / 1e6:.2f}",
            f"{one.load:.0f}",
            "" if one.memory is None else f"{one.memory / 1e6:.1f}",
        )
    print_whole(show, listing)
    way = "single calls" if cold else "blocks of 10 calls"
    show.say(f"ms: median of {rounds} rounds, {way} in turn, one picture at a time, {threads} thread(s)")
    if csv is not None:
        write_csv(csv, rows(measured, cold=cold))
        show.say(f"written to {csv}")
