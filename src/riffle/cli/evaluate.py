"""``riffle evaluate``."""


def evaluate(source: str, /, *, data: str | None = None) -> None:
    """Judge a run, or an exported file, on held-out pictures.

    Parameters
    ----------
    source
        A run's folder or an exported file.
    data
        Pictures as `riffle train` takes them: what they hold out, or all where they are not split; the run's own
        held-out pictures when left out.
    """
    from riffle.cli.output import next_steps, reporter, table
    from riffle.deployment.runtimes import is_exported
    from riffle.verbs.evaluate import evaluate as judge

    show = reporter()
    scores, pictures = judge(source, data=data, reporter=show)
    per_class = table("class", "pictures", "right %")
    for name, count, right in zip(scores.classes, scores.confusion.sum(axis=1), scores.per_class, strict=True):
        per_class.add_row(name, str(count), "" if right is None else f"{right:.1f}")
    show.console.print(per_class)
    top5 = "" if scores.top5 is None else f"  top-5 {scores.top5:.2f} %"
    show.say(f"top-1 {scores.top1:.2f} %{top5}  loss {scores.loss:.4f}  on {len(pictures)} pictures")
    if is_exported(source):
        next_steps(show, ("classify a picture", f"riffle predict {source} PICTURE"))
    else:
        next_steps(show, ("write a file without torch", f"riffle export {source}"))
