"""How to train: every setting that changes the result, in one place."""

import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["cosine", "constant"]
Precision = Literal["no", "bf16", "fp16"]


def _setting(default: Any, about: str) -> Any:
    return field(default=default, metadata={"help": about})


_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of a training. The same recipe, data and seed give the same weights on the same kind of machine."""

    epochs: int = _setting(30, "times that every picture is seen")
    batch_size: int = _setting(32, "pictures in a step, about; they are dealt out evenly")
    size: int = _setting(224, "side of the network's input in pixels")
    optimizer: Optimizer = _setting("adamw", "sgd (Nesterov momentum 0.9) or adamw")
    lr: float = _setting(5e-3, "highest learning rate")
    weight_decay: float = _setting(
        0.05, "decay of convolutions' and linear layers' weights; norms and biases have none"
    )
    schedule: Schedule = _setting("cosine", "how the learning rate falls: cosine or constant")
    warmup_epochs: float = _setting(2.0, "epochs in which the learning rate rises from 0")
    label_smoothing: float = _setting(0.1, "share of the target spread over all classes")
    crop_area: float = _setting(
        0.25, "least share of a picture that a random crop covers; at 1 it is the largest square"
    )
    crop_ratio: float = _setting(0.875, "size / shorter side when judging: the centre that is kept")
    flip: bool = _setting(True, "mirror half of the training pictures")
    jitter: float = _setting(0.2, "strength of colour changes")
    erase: float = _setting(0.0, "chance of random erasing")
    mixup: float = _setting(0.0, "chance that a batch is blended with itself")
    cutmix: float = _setting(0.0, "chance that rectangles are swapped within a batch")
    transfer: str = _setting("all", "what learns: all, last:K (stages) or head")
    validation: float = _setting(0.2, "share of each class held out where the data has no val folder")
    patience: int = _setting(0, "stop after so many epochs without a better top-1; 0 never stops early")
    precision: Precision = _setting("no", "mixed precision: no, bf16 or fp16")
    seed: int = _setting(0, "start of all random numbers")

    def __post_init__(self) -> None:
        for one in fields(self):
            value, kind = getattr(self, one.name), type(one.default)
            fits = isinstance(value, int | float if kind is float else kind)
            if not fits or (isinstance(value, bool) and kind is not bool):
                raise ValueError(f"{one.name} is {_KINDS[kind]}; got {value!r}")
        for name, least, most in (
            ("epochs", 1, 1_000_000),
            ("batch_size", 2, 1_000_000),
            ("size", 8, 4096),
            ("lr", 0, 1e6),
            ("weight_decay", 0, 1e6),
            ("warmup_epochs", 0, 1e6),
            ("label_smoothing", 0, 0.99),
            ("crop_area", 0.01, 1),
            ("crop_ratio", 0.1, 1),
            ("jitter", 0, 1),
            ("erase", 0, 1),
            ("mixup", 0, 1),
            ("cutmix", 0, 1),
            ("validation", 0.01, 0.99),
            ("patience", 0, 1_000_000),
            ("seed", 0, 2**31),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be between {least} and {most:g}; got {getattr(self, name)}")
        for name, words in (
            ("optimizer", ("sgd", "adamw")),
            ("schedule", ("cosine", "constant")),
            ("precision", ("no", "bf16", "fp16")),
        ):
            if getattr(self, name) not in words:
                raise ValueError(f"{name} is one of {', '.join(words)}; got {getattr(self, name)!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for TOML and JSON."""
        return asdict(self)

    def with_changes(self, **changes: Any) -> "Recipe":
        """A copy with some settings changed; raises ``ValueError`` for a setting that does not exist."""
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                raise ValueError(f"no setting called {name!r}" + (f": did you mean {near[0]}?" if near else ""))
        return replace(self, **changes)


PRESETS = {
    "quick": Recipe(epochs=10, size=96),
    "scratch": Recipe(),
    "finetune": Recipe(epochs=15, lr=1e-3, weight_decay=0.01),
    "digits": Recipe(
        epochs=12,
        size=48,
        optimizer="sgd",
        lr=0.05,
        weight_decay=4e-4,
        warmup_epochs=1.0,
        label_smoothing=0.05,
        crop_area=0.8,
        crop_ratio=1.0,
        flip=False,
        jitter=0.0,
    ),
}
"""Starting points by name. ``digits`` is for signs that a mirror or a tight crop would make unreadable."""


def recipe_named(name: str | Path) -> Recipe:
    """A preset, or the recipe in a TOML file (a run's ``recipe.toml`` too).

    Raises:
        ValueError: neither, or a file with settings that do not exist.
    """
    if str(name) in PRESETS:
        return PRESETS[str(name)]
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"no recipe called {name}: a TOML file, or one of {', '.join(PRESETS)}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    settings = table.get("recipe", table)
    if not isinstance(settings, dict):
        raise ValueError(f"{path} has no table of settings")
    return Recipe().with_changes(**settings)
