"""``riffle train``."""

from dataclasses import fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from cyclopts import Parameter

from riffle.training.recipe import Recipe

# One flag for each field of the recipe, so that no flag is written twice; what is not given stays as the preset has it.
_HINTS = get_type_hints(Recipe)
Settings: Any = make_dataclass(
    "Settings",
    [
        (f.name, Annotated[_HINTS[f.name] | None, Parameter(help=f"{f.metadata['help']}.", show_default=False)], None)
        for f in fields(Recipe)
    ],
)

Settings.__module__ = __name__  # a made class counts as a built-in one otherwise, and is not taken apart into flags


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
        Start from these: torchvision, a folder that Riffle saved, a file of weights, or owner/name on the Hub.
    recipe
        Preset (quick, scratch, finetune, digits) or a TOML file; the flags below change single settings.
    """
    from riffle.cli.output import next_steps, reporter
    from riffle.data.sources import title
    from riffle.training.recipe import recipe_named
    from riffle.verbs.train import default_recipe
    from riffle.verbs.train import train as train_network

    preset = recipe_named(recipe) if recipe else default_recipe(data, has_weights=weights is not None)
    given = {name: value for name, value in vars(settings or Settings()).items() if value is not None}
    folder = out or Path("runs") / title(data)
    show = reporter()
    run = train_network(
        data, model=model, out=folder, recipe=preset.with_changes(**given), weights=weights, reporter=show
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
