"""What the README shows is run as it stands there."""

import re
import shlex

import pytest
from PIL import Image

from pictures import REPOSITORY, write_digits
from riffle.cli.app import run as run_command

READMES = ["README.md", "README.zh-CN.md"]


def blocks(readme: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (REPOSITORY / readme).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def in_a_folder_with_pets(tmp_path, monkeypatch):
    for part, each in (("train", 8), ("val", 3)):
        write_digits(tmp_path / "pets" / part, classes=2, each=each)
    Image.new("RGB", (50, 40)).save(tmp_path / "cat.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands(in_a_folder_with_pets, hub):
    commands = [block for block in blocks("README.md", "sh") if "riffle " in block]
    for line in "".join(commands).splitlines():
        program, *arguments = shlex.split(line)
        assert program == "riffle"
        if arguments[0] == "train":
            arguments[arguments.index("--epochs") + 1] = "2"
        assert run_command(arguments) == 0, line
    assert (in_a_folder_with_pets / "runs/pets/report.html").exists()
    assert not hub.asked
    (published,) = blocks("README.md", "console")  # what needs the Hub gets one in memory
    for line in published.splitlines():
        assert run_command(shlex.split(line.removeprefix("$ riffle "))) == 0, line
    assert hub.repositories.keys() == {"me/pets"}


def test_the_python(in_a_folder_with_pets):
    (program,) = blocks("README.md", "python")
    names: dict[str, object] = {}
    exec(program.replace("epochs=30", "epochs=2"), names)
    assert names["path"].exists()


def test_both_languages_show_the_same_code():
    for language in ("sh", "python", "text", "console"):
        shown = [[re.sub(r"\s*#.*", "", block) for block in blocks(readme, language)] for readme in READMES]
        assert shown[0] == shown[1]


@pytest.mark.slow
def test_the_commands_of_shipping(in_a_folder_with_pets):
    from riffle.deployment.runtimes import RUNTIMES

    for runtime in RUNTIMES.values():
        try:
            runtime.require(to_write=True)
        except ValueError as hint:
            pytest.skip(str(hint))
    train = "train pets --model shufflenet_v2_x0_5 --size 64 --epochs 2 --out runs/pets"
    assert run_command(shlex.split(train)) == 0
    for line in "".join(blocks("docs/shipping.md", "sh")).splitlines():
        arguments = shlex.split(line.removeprefix("riffle "))
        assert run_command(arguments + ["--rounds", "3"] * (arguments[0] == "bench")) == 0, line


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/profiling.md", "docs/shuffle-free.md"])
def test_other_pages(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in "".join(blocks(page, "sh")).splitlines():
        assert run_command(shlex.split(line.removeprefix("riffle "))) == 0, line
    for program in blocks(page, "python"):  # no weights are downloaded here
        exec(program.replace(', weights="torchvision"', ""), {})
