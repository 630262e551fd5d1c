"""``riffle models``."""


def models(pattern: str = "*", /, *, size: int | None = None, json: bool = False) -> None:
    """List the networks, with their parameters and multiply-accumulates.

    Parameters
    ----------
    pattern
        Which ones, as in "shufflenet_v2*".
    size
        Side of the pictures in pixels; each network's own when left out.
    json
        Print JSON.
    """
    from json import dumps

    from riffle.cli.output import next_steps, reporter, table
    from riffle.zoo import catalogue

    rows = catalogue(pattern, size=size)
    if not rows:
        raise ValueError(f"no network's name matches {pattern}; `riffle models` lists all")
    show = reporter()
    if json:
        print(dumps(rows, indent=2))
        return
    listing = table("network", "parameters", "MACs", "size", "published weights")
    for row in rows:
        listing.add_row(
            row["name"], f"{row['params']:,}", f"{row['macs']:,}", str(row["size"]), ", ".join(row["weights"])
        )
    show.console.print(listing)
    next_steps(show, ("train one", f"riffle train PICTURES --model {rows[-1]['name']}"))
