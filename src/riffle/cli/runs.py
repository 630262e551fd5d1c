"""``riffle runs``."""

from pathlib import Path


def runs(folder: Path = Path("runs"), /) -> None:
    """List the runs in a folder and the folders in it, the best first.

    Parameters
    ----------
    folder
        Where they are.
    """
    from riffle.cli.output import next_steps, print_whole, reporter, table
    from riffle.verbs.compare import runs_below

    show = reporter()
    found = runs_below(folder)
    listing = table("run", "top-1 %", "loss", "best epoch", "epochs", "network", "weights", "data")
    for run in found:
        best = run.best or {}
        numbers = (f"{best['top1']:.2f}", f"{best['loss']:.4f}", str(best["epoch"])) if best else ("", "", "")
        done = f"{run.epochs} of {run.setup.recipe.epochs}" if not run.finished else str(run.epochs)
        setup = run.setup
        listing.add_row(str(run.folder), *numbers, done, setup.model, setup.weights or "random", setup.data)
    print_whole(show, listing)
    if len(found) > 1:
        next_steps(show, ("compare two", f"riffle compare {found[0].folder} {found[1].folder}"))
