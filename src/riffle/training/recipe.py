"""How to train: every setting that changes the result, in one place."""

import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

Optimizer = Literal["sgd", "adamw", "rmsprop"]
Schedule = Literal["cosine", "linear", "step", "plateau", "constant"]
Policy = Literal["none", "trivial", "rand"]
Precision = Literal["no", "bf16", "fp16"]


def setting(default: Any, about: str, limits: tuple[float, float] | None = None) -> Any:
    """A field of a recipe: what its flag's help says, and the least and the highest value that make sense."""
    return field(default=default, metadata={"help": about, "limits": limits})


def check(recipe: Any) -> None:
    """Refuse what is of another kind than a recipe's defaults, none of its words, or beyond its limits.

    Raises:
        ValueError: naming the setting.
    """
    hints = get_type_hints(type(recipe))
    for one in fields(recipe):
        name, value, kind = one.name, getattr(recipe, one.name), type(one.default)
        fits = isinstance(value, int | float if kind is float else kind)
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"{name} is {_KINDS[kind]}; got {value!r}")
        words = get_args(hints[name])
        if words and value not in words:
            raise ValueError(f"{name} is one of {', '.join(words)}; got {value!r}")
        limits = one.metadata["limits"]
        if limits and not limits[0] <= value <= limits[1]:
            raise ValueError(f"{name} must be between {limits[0]:g} and {limits[1]:g}; got {value}")


_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
_MANY = 1_000_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of a training. The same recipe, data and seed give the same weights on the same kind of machine."""

    epochs: int = setting(30, "times that every picture is seen", (1, _MANY))
    batch_size: int = setting(32, "pictures in a step, about; they are dealt out evenly", (2, _MANY))
    accumulate: int = setting(1, "parts that a step goes through one after the other, for less memory", (1, _MANY))
    size: int = setting(224, "side of the network's input in pixels", (8, 4096))
    grow_from: int = setting(0, "side of the pictures at the start, growing to the size; 0 does not grow", (0, 4096))
    optimizer: Optimizer = setting("adamw", "sgd (Nesterov momentum 0.9), adamw or rmsprop")
    lr: float = setting(5e-3, "highest learning rate", (0, 1e6))
    layer_decay: float = setting(1.0, "learning rate of a stage as a share of the next one's", (0.01, 1))
    weight_decay: float = setting(
        0.05, "decay of convolutions' and linear layers' weights; norms and biases have none", (0, 1e6)
    )
    decay_depthwise: bool = setting(True, "let depthwise convolutions' weights decay too")
    clip: float = setting(0.0, "longest gradient, over all weights; 0 does not clip", (0, 1e6))
    schedule: Schedule = setting("cosine", "how the learning rate falls: cosine, linear, step, plateau or constant")
    drop: float = setting(0.1, "what step and plateau multiply the learning rate by", (0.01, 1))
    drop_epochs: int = setting(10, "epochs between the drops of step; for plateau, without a lower loss", (1, _MANY))
    warmup_epochs: float = setting(2.0, "epochs in which the learning rate rises from 0", (0, _MANY))
    ema: float = setting(0.0, "share that a running average of the weights keeps in a step; 0 has none", (0, 0.99999))
    label_smoothing: float = setting(0.1, "share of the target spread over all classes", (0, 0.99))
    balance: float = setting(0.0, "weight of rare classes: 0 as they come, 1 all classes alike", (0, 1))
    distill: float = setting(0.5, "share of the loss that a teacher's probabilities have", (0, 1))
    temperature: float = setting(2.0, "what a teacher's scores are divided by", (0.1, 100))
    crop_area: float = setting(
        0.25, "least share of a picture that a random crop covers; 0 takes the centre, as when judging", (0, 1)
    )
    crop_ratio: float = setting(0.875, "size / shorter side when judging: the centre that is kept", (0.1, 1))
    flip: bool = setting(True, "mirror half of the training pictures")
    jitter: float = setting(0.2, "strength of colour changes", (0, 1))
    policy: Policy = setting("none", "further changes: trivial (TrivialAugment), rand (RandAugment) or none")
    erase: float = setting(0.0, "chance of random erasing", (0, 1))
    mixup: float = setting(0.0, "chance that a batch is blended with itself", (0, 1))
    cutmix: float = setting(0.0, "chance that rectangles are swapped within a batch", (0, 1))
    transfer: str = setting("all", "what learns: all, last:K (stages) or head")
    validation: float = setting(0.2, "share of each class held out where the data has no val folder", (0.01, 0.99))
    patience: int = setting(0, "stop after so many epochs without a better top-1; 0 never stops early", (0, _MANY))
    precision: Precision = setting("no", "mixed precision: no, bf16 or fp16")
    seed: int = setting(0, "start of all random numbers", (0, 2**31))

    def __post_init__(self) -> None:
        check(self)

    @property
    def varies(self) -> bool:
        """Whether a training picture looks different in every epoch."""
        drawn = self.crop_area or self.flip or self.jitter or self.erase or self.mixup or self.cutmix
        return bool(drawn) or self.policy != "none" or bool(self.grow_from)

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


_FOLDER = Path(__file__).parents[1] / "recipes"


def presets() -> list[str]:
    """Names of the recipes that come along."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def recipe_named(name: str | Path, *, model: object = None) -> Recipe:
    """A recipe that comes along, or one in a TOML file (a run's ``recipe.toml`` too).

    Settings that a file does not give are those of the recipe that it names as ``base``, or else the defaults.

    Args:
        name: of the recipe or the file; ``paper`` is what the paper of the model says.
        model: the network's name.

    Raises:
        ValueError: neither, a file with settings that do not exist, or a model whose paper's recipe is not here.
    """
    if name == "paper":
        name = _of_the_paper(str(model))
    path = _FOLDER / f"{name}.toml" if str(name) in presets() else Path(name)
    if not path.is_file():
        raise ValueError(f"no recipe called {name}: a TOML file, or one of {', '.join(presets())}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    settings = table.get("recipe", table)
    if not isinstance(settings, dict):
        raise ValueError(f"{path} has no table of settings")
    settings = dict(settings)
    base = settings.pop("base", None)
    if base is not None and base not in presets():
        raise ValueError(f"{path} is based on {base!r}, which is none of {', '.join(presets())}")
    return (recipe_named(base) if base else Recipe()).with_changes(**settings)


def _of_the_paper(model: str) -> str:
    for family in ("shufflenet", "mobilenet"):
        if model.startswith(family):
            return f"paper_{family}"
    raise ValueError(f"the papers' recipes are here for ShuffleNet and MobileNet, not for {model}")
