"""The README.md of a saved network: what to expect, how to load, how to preprocess, how to reproduce.

Names of classes, files and folders come from people. They reach the card as code spans, fenced blocks, JSON, or values
that a YAML library writes: none of them can end the block it stands in.
"""

import json
import math
import re
import shlex
from pathlib import PurePath
from typing import Any

import tomli_w

from riffle.card import Card
from riffle.preprocessing import Preprocessing
from riffle.weights import sources
from riffle.weights.record import COST, HELD_OUT, LEARNED, LOSS, TOP1, TOP5, Record

MOST_NAMED = 100
"""Classes that are named; config.json names all."""

_JOINERS = "\u200c\u200d"
"""Invisible, but parts of words in Persian and Hindi, and of some pictograms."""


def model_card(card: Card, record: Record, *, address: str, params: int, weights_bytes: int) -> str:
    """Markdown with the Hub's metadata in front.

    Args:
        card: the network's facts.
        record: how it was made, and how well it did.
        address: what ``riffle.load`` takes: a repository of the Hub, or the folder's name.
        params: parameters of the network.
        weights_bytes: size of its weights file.
    """
    sections = {
        "What to expect": _expectations(record, params, weights_bytes),
        "How to load": _loading(card, address),
        "How to preprocess": _preprocessing(card.preprocessing),
        "How to reproduce": _reproduction(record.reproduce),
    }
    name = card.name or address
    parts = [
        f"---\n{_metadata(card, record, address)}\n---",
        f"# {name if name.isidentifier() else code(name)}",
        _what(card),
    ]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items()]
    return "\n\n".join(parts).encode("utf-8", "replace").decode() + "\n"


def code(text: str) -> str:
    """Words from a person as inline code on one line: nothing in them is Markdown, HTML or a line's end."""
    line = _line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    room = " " if "`" in line else ""
    return f"{fence}{room}{line}{room}{fence}"


def fenced(language: str, text: str) -> str:
    """A block of code, with a fence that nothing in it can close."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.strip()}\n{fence}"


def _line(text: str) -> str:
    """One line of printable characters; a space stands for an empty text, so that a code span is one."""
    return " ".join(_printable(text).split()) or " "


def _printable(text: str) -> str:
    """A space for each line's end, control character, turn of the writing direction and broken byte."""
    return "".join(c if c.isprintable() or c in _JOINERS else " " for c in text)


def _metadata(card: Card, record: Record, address: str) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    data, scores = record.reproduce.get("data"), []
    for key, name in ((TOP1, "top-1 accuracy"), (TOP5, "top-5 accuracy")):
        percent = record.expected.get(key)
        if isinstance(data, str) and isinstance(percent, int | float):
            scores.append(
                EvalResult(
                    task_type="image-classification",
                    dataset_type=data if data == "digits" else "imagefolder",
                    dataset_name=_line(PurePath(data).name),
                    dataset_split="validation",
                    metric_type="accuracy",
                    metric_name=name,
                    metric_value=round(percent / 100, 6),
                )
            )
    return ModelCardData(
        library_name="riffle-vision",
        pipeline_tag="image-classification",
        license=record.licence,
        tags=["riffle", *([card.name] if card.name else [])],
        metrics=["accuracy"] if scores else None,
        model_name=_line(PurePath(address).name) if scores else None,
        eval_results=scores or None,
    ).to_yaml()


def _what(card: Card) -> str:
    made = "Made with Riffle (Python package `riffle-vision`)."
    if card.classes is None:
        return f"A network for pictures. {made}"
    named = ", ".join(code(name) for name in card.classes[:MOST_NAMED])
    more = ", …" if len(card.classes) > MOST_NAMED else ""
    return f"A network that sorts pictures into {len(card.classes)} classes: {named}{more}\n\n{made}"


def _expectations(record: Record, params: int, weights_bytes: int) -> str:
    expected, cost = dict(record.expected), record.cost
    held_out, learned = expected.pop(HELD_OUT, None), expected.pop(LEARNED, None)
    lines = []
    for key, value in expected.items():
        if key in (TOP1, TOP5) and isinstance(value, int | float):
            lines.append(f"- {key.partition(' ')[0]}: {value:.2f} % of {_counted(value, held_out)}")
        elif key == LOSS and isinstance(value, int | float):
            lines.append(f"- loss: {value:.4f} nats")
        else:
            lines.append(f"- {code(str(key))}: {code(str(value))}")
    lines = lines or ["- accuracy: not measured"]
    lines.append(f"- weights: {weights_bytes / 1e6:.2f} MB, {params:,} parameters")
    if all(isinstance(cost.get(name), int) for name in COST):
        lines.append(
            f"- one picture of {cost['size']} × {cost['size']} pixels: {cost['macs']:,} multiply-accumulates (MACs), "
            f"{cost['memory_access']:,} elements read and written"
        )
    if expected and "recipe" in record.reproduce:
        of = f" from {learned:,} others, not" if isinstance(learned, int) else " not"
        lines.append(
            f"\nThe network learned{of} from the held-out pictures. But the best of its epochs was chosen by them, so "
            "new pictures may do a little worse, and pictures of another kind much worse."
        )
    return "\n".join(lines)


def _counted(percent: float, pictures: Any) -> str:
    if not isinstance(pictures, int) or pictures < 1:
        return "held-out pictures"
    low, high = _interval(percent / 100, pictures)
    return f"{pictures:,} held-out pictures (95 % interval {100 * low:.0f} to {100 * high:.0f} %)"


def _interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share among ``count``: it stays within 0 and 1, and is right for few pictures too."""
    z = 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(max(0.0, share * (1 - share)) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return middle - half, middle + half


def _loading(card: Card, address: str) -> str:
    given = "" if card.name else ", network=MyNetwork()"  # its class is nowhere in these files
    literal = f'"{address}"' if address.isprintable() and not set(address) & set('"\\') else repr(address)
    load = f"import riffle\n\nnetwork = riffle.load({literal}{given})"
    if card.preprocessing is None or card.classes is None:
        return fenced("python", load)
    program = f"""\
import torch
{load}
picture = torch.from_numpy(network.card.preprocessing("picture.jpg"))
shares = network(picture[None]).softmax(1)[0]
print(network.card.classes[shares.argmax()], shares.max().item())"""
    command = shlex.join(["riffle", "predict", _printable(address), "picture.jpg"])
    return fenced("python", program) + (f"\n\nOr on the command line: {code(command)}" if card.name else "")


def _preprocessing(steps: Preprocessing | None) -> str:
    if steps is None:
        return "Not known."
    order = "red, green, blue" if steps.channels == "RGB" else "blue, green, red"
    return f"""\
1. Decode the picture to RGB, turned upright as its EXIF data says.
2. Resize it ({steps.interpolation}) until its shorter side has {steps.resize} pixels.
3. Cut out the centre, {steps.size} × {steps.size} pixels.
4. Divide by {steps.scale:g}.
5. Subtract the mean ({_triple(steps.mean)}) and divide by the deviation ({_triple(steps.std)}), both red, green, blue.
6. Put the channels first, in the order {order}: float32 (3, {steps.size}, {steps.size}).

`network.card.preprocessing("picture.jpg")` does all of this. The same as data:

{fenced("json", json.dumps(steps.to_dict()))}"""


def _triple(numbers: tuple[float, float, float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def _reproduction(reproduce: dict[str, Any]) -> str:
    facts = dict(reproduce)
    data, model, recipe = facts.pop("data", None), facts.pop("model", None), facts.pop("recipe", None)
    weights, from_python = facts.pop("weights", None), facts.pop("from_python", False)
    if not (isinstance(data, str) and isinstance(model, str) and isinstance(recipe, dict)):
        return fenced("json", json.dumps(reproduce, indent=2)) if reproduce else "Not recorded."
    parts = [f"The recipe, as `recipe.toml`:\n\n{fenced('toml', _toml(recipe))}"]
    if from_python:
        parts.append(
            "It was trained from Python with this recipe: `riffle.train(data, model=network, recipe=…)`. "
            f"`network` was {code(model)} with weights of its own, which these files do not tell."
        )
    else:
        start = ["--weights", weights] if isinstance(weights, str) else []
        words = ["riffle", "train", data, "--model", model, *start, "--recipe", "recipe.toml", "--out", "runs/again"]
        parts.append(
            f"The command, with the pictures in {code(data)}:\n\n{fenced('sh', _printable(shlex.join(words)))}"
        )
    if isinstance(weights, str):
        parts.append(_start(model, weights))
    if facts:
        parts.append(f"How it was run:\n\n{fenced('json', json.dumps(facts, indent=2))}")
        parts.append(
            "`fingerprint` is of the pictures' names and classes; a new run's `recipe.toml` tells its own. The same "
            "pictures, recipe, versions, threads and kind of machine give the same weights, bit for bit, on a CPU."
        )
    return "\n\n".join(parts)


def _start(model: str, weights: str) -> str:
    try:
        source = sources.find(model, weights)
    except ValueError:  # this version knows them no longer
        source = None
    if source is None:
        return f"It started from the weights {code(weights)}."
    return f"It started from the weights {code(source.name)}, which are under the licence {code(source.licence)}."


def _toml(recipe: dict[str, Any]) -> str:
    return tomli_w.dumps({key: value for key, value in recipe.items() if isinstance(value, bool | int | float | str)})
