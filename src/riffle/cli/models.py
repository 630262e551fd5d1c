"""``riffle models``."""


def models(
    pattern: str = "*",
    /,
    *,
    sort: str | None = None,
    columns: str = "name,params,macs,memory_access,paper_top1,weights",
    size: int | None = None,
    json: bool = False,
) -> None:
    """List the networks, with what they cost, what their papers promise, and whose weights there are.

    Parameters
    ----------
    pattern
        Which ones, as in "shufflenet_v2*".
    sort
        Column to order by, smallest first.
    columns
        Which ones, with commas: name, params, macs, memory_access, size, paper_top1, paper, weights_top1, weights.
    size
        Side of the pictures in pixels to count for; each network's own when left out.
    json
        Print JSON, with all columns.
    """
    from json import dumps

    from riffle.catalogue import COLUMNS, catalogue, check_columns
    from riffle.cli.output import next_steps, print_whole, reporter, table

    chosen = [column.strip() for column in columns.split(",")]
    check_columns(chosen)
    rows = catalogue(pattern, size=size, sort=sort)
    if not rows:
        small = "" if size is None else f" and takes pictures of {size} pixels"
        raise ValueError(f"no network's name matches {pattern}{small}; `riffle models` lists all")
    if json:
        print(dumps(rows, indent=2))
        return
    show = reporter()
    listing = table(*(COLUMNS[column] for column in chosen))
    for row in rows:
        listing.add_row(*(_cell(row[column]) for column in chosen))
    print_whole(show, listing)
    next_steps(show, ("train one", f"riffle train PICTURES --model {rows[-1]['name']}"))


def _cell(value: object) -> str:
    """Large counts in millions: the exact ones are in the JSON."""
    if isinstance(value, int) and value >= 10_000:
        return f"{value / 1e6:,.3f} M"
    return "" if value is None else str(value)
