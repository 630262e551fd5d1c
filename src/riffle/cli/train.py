"""``riffle train``."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from riffle.cli.settings import changes, flags
from riffle.training.recipe import Recipe

FIND = "find"
"""Instead of a learning rate: look for one."""

Settings: Any = flags(Recipe, lr=(float | Literal["find"], "highest learning rate, or find to look for it first"))


def train(
    data: str,
    /,
    *,
    model: str = "shufflenet_v2_x1_0",
    out: Path | None = None,
    weights: str | None = None,
    teacher: str | None = None,
    recipe: str | None = None,
    track: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    timing: bool = False,
    settings: Annotated[Settings | None, Parameter(name="*", group="Recipe")] = None,
) -> None:
    """Train a network on pictures, or go on with a run that was interrupted.

    Parameters
    ----------
    data
        Folder with CLASS/PICTURE or train/CLASS/PICTURE and val/CLASS/PICTURE; a manifest (.csv, .tsv, .jsonl,
        .parquet) with columns like image, label and split; WebDataset shards, as in "train-{000..009}.tar", or a folder
        of them; hf://datasets/OWNER/NAME on the Hub; or the built-in set digits.
    model
        Network, as `riffle models` lists them.
    out
        The run's folder; runs/NAME of the data when left out. The same command goes on where a run stopped.
    weights
        Start from these: torchvision, package (an installed one's), a run or another folder that Riffle saved, a file
        of weights, or owner/name on the Hub.
    teacher
        A trained network for the same classes, as weights are named: its probabilities are learned too.
    recipe
        quick, scratch, finetune, head, digits, paper (the papers' own for ShuffleNet and MobileNet), or a TOML file;
        the flags below change single settings.
    track
        Trackers to log to besides: tensorboard, wandb, mlflow and others that accelerate knows; each needs its package.
    timing
        Tell after every epoch where its time went.
    """
    from riffle.cli.output import next_steps, reporter
    from riffle.data.sources import title
    from riffle.training.recipe import recipe_named
    from riffle.verbs.train import default_recipe
    from riffle.verbs.train import train as train_network

    given = changes(settings)
    find_lr = given.get("lr") == FIND
    if find_lr:
        del given["lr"]
    preset = (
        recipe_named(recipe, model=model)
        if recipe
        else default_recipe(data, has_weights=weights is not None, transfer=given.get("transfer"))
    )
    folder = out or Path("runs") / title(data)
    show = reporter()
    run = train_network(
        data,
        model=model,
        out=folder,
        recipe=preset.with_changes(**given),
        weights=weights,
        teacher=teacher,
        find_lr=find_lr,
        track=track or (),
        timing=timing,
        reporter=show,
    )
    best = run.state.best
    assert best is not None
    show.say(f"best: top-1 {best['top1']:.1f} % on {len(run.validation)} held-out pictures, epoch {best['epoch']}")
    next_steps(
        show,
        ("the report", str(run.folder.report)),
        ("classify a picture", f"riffle predict {folder} PICTURE"),
        ("write a file without torch", f"riffle export {folder}"),
    )
