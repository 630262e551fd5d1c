"""How a scene is split, reduced and learned: every setting that changes the result, in one place."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from riffle.training.recipe import Recipe, check, setting


@dataclass(frozen=True, slots=True)
class SceneRecipe:
    """Settings of a training on a scene. The defaults keep training and test apart; see :data:`PROTOCOLS`."""

    window: int = setting(25, "side in pixels of what the network sees around a pixel; odd", (1, 255))
    components: int = setting(30, "numbers that each spectrum is reduced to", (1, 10_000))
    reduction: Literal["pca", "standardize"] = setting("pca", "pca (whitened), or standardize: every band, scaled")
    fit_on: Literal["train", "scene"] = setting("train", "pixels that the reduction is fitted on: train or scene")
    split: Literal["blocks", "random"] = setting("blocks", "blocks (nothing leaks) or random (as in most papers)")
    train_share: float = setting(0.1, "part of each class to learn from", (1e-4, 0.99))
    per_class: int = setting(0, "pixels of each class to learn from, instead of a share", (0, 1_000_000))
    block: int = setting(0, "side of a block in pixels; 0 takes the window's", (0, 100_000))
    guard: Literal["half", "full"] = setting("half", "half: no test pixel in a training window; full: no shared pixel")
    validation: float = setting(
        0.1, "part of the training pixels that choose the best epoch; 0 keeps the last one", (0, 0.9)
    )
    epochs: int = setting(100, "times that every training pixel is seen", (1, 1_000_000))
    batch_size: int = setting(256, "windows in a step, about; they are dealt out evenly", (2, 1_000_000))
    lr: float = setting(1e-3, "highest learning rate of Adam", (0, 1e3))
    weight_decay: float = setting(0.0, "decay of weights, decoupled", (0, 1e3))
    schedule: Literal["cosine", "linear", "constant"] = setting(
        "cosine", "how the learning rate falls: cosine, linear or constant"
    )
    augment: bool = setting(True, "turn and mirror windows at random")
    precision: Literal["no", "bf16"] = setting("no", "mixed precision: no or bf16")
    seed: int = setting(0, "start of all random numbers; with several seeds, the first", (0, 2**31))

    def __post_init__(self) -> None:
        check(self)
        if self.window % 2 == 0:
            raise ValueError(f"a window has its pixel in the middle, so its side is odd; got {self.window}")

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
