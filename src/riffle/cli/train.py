"""``riffle train``."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from riffle.cli.settings import changes, flags
from riffle.training.recipe import Recipe

Settings: Any = flags(Recipe)


def train(
    data: str,
    /,
    *,
    model: str = "shufflenet_v2_x1_0",
    out: Path | None = None,
    weights: str | None = None,
    recipe: str | None = None,
    settings: Annotated[Settings | None, Parameter(name="*", group="Recipe")] = None,
) -> None:
    """Train a network on a folder of pictures, or go on with a run that was interrupted.

    Parameters
    ----------
    data
        Folder with CLASS/PICTURE or train/CLASS/PICTURE and val/CLASS/PICTURE; or the built-in set digits.
    model
        Network, as `riffle models` lists them.
    out
        The run's folder; runs/NAME of the data when left out. The same command goes on where a run stopped.
    weights
        Start from these: torchvision, a folder that Riffle saved, a file of weights, or owner/name on the Hub.
    recipe
        Preset (quick, scratch, finetune, digits) or a TOML file; the flags below change single settings.
    """
    from riffle.cli.output import next_steps, reporter
    from riffle.training.recipe import recipe_named
    from riffle.verbs.train import default_recipe
    from riffle.verbs.train import train as train_network

    preset = recipe_named(recipe) if recipe else default_recipe(data, has_weights=weights is not None)
    folder = out or Path("runs") / Path(data).resolve().name
    show = reporter()
    chosen = preset.with_changes(**changes(settings))
    run = train_network(data, model=model, out=folder, recipe=chosen, weights=weights, reporter=show)
    best = run.state.best
    assert best is not None
    show.say(f"best: top-1 {best['top1']:.1f} % on {len(run.validation)} held-out pictures, epoch {best['epoch']}")
    next_steps(
        show,
        ("the report", str(run.folder.report)),
        ("classify a picture", f"riffle predict {folder} PICTURE"),
        ("write a file without torch", f"riffle export {folder}"),
    )
