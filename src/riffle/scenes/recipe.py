"""How a scene is split, reduced and learned: every setting that changes the result, in one place."""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from riffle.training.recipe import Precision, Recipe


def _setting(default: Any, about: str) -> Any:
    return field(default=default, metadata={"help": about})


@dataclass(frozen=True, slots=True)
class SceneRecipe:
    """Settings of a training on a scene. The defaults keep training and test apart; see :data:`PROTOCOLS`."""

    window: int = _setting(25, "side in pixels of what the network sees around a pixel; odd")
    components: int = _setting(30, "numbers that each spectrum is reduced to")
    reduction: Literal["pca", "standardize"] = _setting("pca", "pca (whitened), or standardize: every band, scaled")
    fit_on: Literal["train", "scene"] = _setting("train", "pixels that the reduction is fitted on: train or scene")
    split: Literal["blocks", "random"] = _setting("blocks", "blocks (nothing leaks) or random (as in most papers)")
    train_share: float = _setting(0.1, "part of each class to learn from")
    per_class: int = _setting(0, "pixels of each class to learn from, instead of a share")
    block: int = _setting(0, "side of a block in pixels; 0 takes the window's")
    guard: Literal["half", "full"] = _setting("half", "half: no test pixel in a training window; full: no shared pixel")
    validation: float = _setting(0.1, "part of the training pixels that choose the best epoch; 0 keeps the last one")
    epochs: int = _setting(100, "times that every training pixel is seen")
    batch_size: int = _setting(256, "windows in a step, about; they are dealt out evenly")
    lr: float = _setting(1e-3, "highest learning rate of Adam")
    weight_decay: float = _setting(0.0, "decay of weights, decoupled")
    schedule: Literal["cosine", "linear", "constant"] = _setting(
        "cosine", "how the learning rate falls: cosine, linear or constant"
    )
    augment: bool = _setting(True, "turn and mirror windows at random")
    precision: Precision = _setting("no", "mixed precision: no or bf16")
    seed: int = _setting(0, "start of all random numbers; with several seeds, the first")

    def __post_init__(self) -> None:
        for name, least, most in (
            ("window", 1, 255),
            ("components", 1, 10_000),
            ("train_share", 1e-4, 0.99),
            ("per_class", 0, 1_000_000),
            ("block", 0, 100_000),
            ("validation", 0, 0.9),
            ("epochs", 1, 1_000_000),
            ("batch_size", 2, 1_000_000),
            ("lr", 0, 1e3),
            ("weight_decay", 0, 1e3),
            ("seed", 0, 2**31),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be between {least:g} and {most:g}; got {getattr(self, name)}")
        if self.window % 2 == 0:
            raise ValueError(f"a window has its pixel in the middle, so its side is odd; got {self.window}")
        for name, words in (
            ("reduction", ("pca", "standardize")),
            ("fit_on", ("train", "scene")),
            ("split", ("blocks", "random")),
            ("guard", ("half", "full")),
            ("schedule", ("cosine", "linear", "constant")),
            ("precision", ("no", "bf16")),
        ):
            if getattr(self, name) not in words:
                raise ValueError(f"{name} is one of {', '.join(words)}; got {getattr(self, name)!r}")

    @property
    def share(self) -> float | int:
        """What the splits take: a part of each class, or as a whole number the pixels of each."""
        return self.per_class or self.train_share

    @property
    def reach(self) -> int:
        """Width of the guard band in pixels."""
        return self.window // 2 if self.guard == "half" else self.window - 1

    @property
    def steps(self) -> Recipe:
        """What the optimizer and the learning rate of the picture networks go by."""
        return Recipe(
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer="adamw",
            lr=self.lr,
            weight_decay=self.weight_decay,
            schedule=self.schedule,
            warmup_epochs=0.0,
            seed=self.seed,
        )

    def with_changes(self, **changes: Any) -> "SceneRecipe":
        """A copy with some settings changed."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "SceneRecipe":
        """The inverse of :meth:`to_dict`; raises ``ValueError`` for settings that do not exist."""
        if unknown := values.keys() - {one.name for one in fields(cls)}:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
        return cls(**values)


PROTOCOLS = {
    "honest": SceneRecipe(),
    "paper": SceneRecipe(
        split="random", train_share=0.3, fit_on="scene", validation=0.0, schedule="constant", augment=False
    ),
}
"""``paper`` is HybridSN's: random pixels, a PCA that has seen the test pixels, Adam at 1e-3 for 100 epochs, no
augmentation, no validation (https://arxiv.org/abs/1902.06701, section III and the authors' notebook). What the notebook
chooses its epoch by is the training accuracy; here the last epoch is kept."""
