"""``riffle demo``."""

from pathlib import Path


def demo(*, out: Path = Path("runs/demo"), model: str = "shufflenet_v2_x0_5", epochs: int | None = None) -> None:
    """Train, fuse, export and verify a small network on handwritten digits, in a few minutes.

    Parameters
    ----------
    out
        The run's folder. A finished demo there is shown again without training.
    model
        Network to train.
    epochs
        Times that every picture is seen, if not as many as the recipe for digits says.
    """
    from riffle.cli.output import next_steps, reporter, table
    from riffle.training.recipe import recipe_named
    from riffle.verbs.export import export_run, ledger
    from riffle.verbs.train import train

    show = reporter()
    recipe = recipe_named("digits") if epochs is None else recipe_named("digits").with_changes(epochs=epochs)
    show.say(f"data: scikit-learn's handwritten digits; network: {model}; recipe: digits, {recipe.epochs} epochs")
    run = train("digits", model=model, out=out, recipe=recipe, reporter=show)
    path = out / "digits.onnx"
    show.say("folding batch norms, exporting, comparing the file with the network on every held-out picture")
    made = export_run(out, path, reporter=show)
    show.say(f"verified: {made.agreement.told()}")
    listing = table("step", "top-1 %", "MB", "MACs", "ms")
    steps = ledger(run, path, reporter=show)
    for step in steps:
        listing.add_row(
            step.name,
            f"{step.top1:.2f}",
            f"{step.size / 1e6:.2f}",
            f"{step.macs / 1e6:.2f} M",
            f"{step.latency.median:.2f}",
        )
    show.say("")
    show.console.print(listing)
    show.say(f"ms: median of {steps[0].latency.rounds} interleaved rounds, one picture at a time, one thread")
    next_steps(
        show,
        ("the report", str(run.folder.report)),
        ("classify a picture", f"riffle predict {path} PICTURE"),
        ("train on your own folder", "riffle train PICTURES --out runs/mine"),
    )
