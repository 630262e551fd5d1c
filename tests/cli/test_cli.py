import json
import os
import subprocess
import sys

import pytest
from PIL import Image

import riffle
from pictures import encoded
from riffle.cli import COMMANDS
from riffle.cli.app import run as run_command

FAST = ["--model", "lenet", "--epochs", "1", "--size", "64", "--batch-size", "16", "--no-flip"]


def said(capsys, *arguments: object) -> tuple[int, str, str]:
    """Exit status, output and errors of one command."""
    capsys.readouterr()
    status = run_command([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return status, output.out, output.err


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", "-m", "riffle", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_help_and_version_answer_at_once_without_the_libraries():
    helped = process("--help")
    assert helped.returncode == 0
    assert all(f"  {name} " in helped.stdout and purpose in helped.stdout for name, purpose in COMMANDS.items())
    assert process().stdout == helped.stdout
    version = process("--version")
    assert version.stdout.strip() == f"riffle {riffle.__version__}"
    for ran in (helped, version):
        loaded = {line.rsplit("|", 1)[1].strip() for line in ran.stderr.splitlines() if "|" in line}
        assert not loaded & {"torch", "numpy", "cyclopts", "PIL", "rich"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_commands_help_needs_no_torch(command):
    helped = process(command, "--help")
    assert helped.returncode == 0
    assert COMMANDS[command].split()[0] in helped.stdout
    loaded = {line.rsplit("|", 1)[1].strip() for line in helped.stderr.splitlines() if "|" in line}
    assert "torch" not in loaded


def test_the_public_names_are_all_there_and_import_no_torch():
    program = "import sys, riffle; assert 'torch' not in sys.modules; print(*dir(riffle))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == riffle.__all__
    assert all(getattr(riffle, name) is not None for name in riffle.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = riffle.nonsense


def test_a_run_and_its_file_are_used_alike(finished_run, shipped, folder_of_digits, capsys):
    run = finished_run.folder.path
    status, told, _ = said(capsys, "evaluate", run)
    assert status == 0
    assert "on 12 pictures" in told
    assert f"riffle export {run}" in told
    picture = next((folder_of_digits / "digit 0").iterdir())
    answers = []
    for source in (run, shipped):
        status, told, _ = said(capsys, "predict", source, picture, "--top", "1")
        assert status == 0
        answers.append(told.splitlines()[0])
    assert answers[0] == answers[1]
    status, told, _ = said(capsys, "predict", shipped, folder_of_digits)
    assert status == 0
    assert len(told.splitlines()) == 60
    status, by_file, _ = said(capsys, "evaluate", shipped, "--data", folder_of_digits)
    status_too, by_network, _ = said(capsys, "evaluate", run, "--data", folder_of_digits)
    assert status == status_too == 0
    scores = [next(line for line in told.splitlines() if "top-1" in line) for told in (by_file, by_network)]
    assert scores[0].split("loss")[0] == scores[1].split("loss")[0]


def test_a_network_goes_to_the_hub_and_comes_back(hub, finished_run, folder_of_digits, capsys):
    run = finished_run.folder.path
    status, told, _ = said(capsys, "push", run, "me/digits", "--private", "--message", "first", "--license", "mit")
    assert status == 0
    assert "https://huggingface.co/me/digits" in told
    assert 'riffle.load("me/digits")' in told
    assert "riffle predict me/digits PICTURE" in told
    assert hub.repositories["me/digits"].private
    assert hub.repositories["me/digits"].messages == ["first"]
    picture = next((folder_of_digits / "digit 0").iterdir())
    (_, here, _), (status, there, _) = (said(capsys, "predict", source, picture) for source in (run, "me/digits"))
    assert status == 0
    assert here.splitlines()[0] == there.splitlines()[0]
    status, told, _ = said(capsys, "evaluate", "me/digits", "--data", folder_of_digits)
    assert status == 0
    assert "on 60 pictures" in told


def test_what_the_hub_has_not_or_refuses_is_one_line(hub, finished_run, tmp_path, capsys, monkeypatch):
    run, picture = finished_run.folder.path, finished_run.validation[0]
    for words, *arguments in (
        ("there is nothing at", "push", tmp_path / "nowhere", "me/digits"),
        ("holds no saved network", "push", tmp_path, "me/digits"),
        ("called owner/name; got 'digits'", "push", run, "digits"),
        ("no such right to you/digits", "push", run, "you/digits"),
        ("licences like apache-2.0", "push", run, "me/digits", "--license", "(c) me"),
        ("the Hub has no you/digits", "predict", "you/digits", picture),
        ("the Hub has no you/digits", "train", "digits", "--weights", "you/digits", "--out", tmp_path / "new"),
    ):
        refused(capsys, words, *arguments)
    hub.unreachable = True
    refused(capsys, "the Hub could not be reached", "push", run, "me/digits")
    refused(capsys, "the Hub did not answer", "predict", "me/digits", picture)
    monkeypatch.delenv("HF_TOKEN")
    refused(capsys, "hf auth login", "push", run, "me/digits")
    assert not hub.repositories
    assert not (tmp_path / "new").exists()


def test_models_lists_the_catalogue(capsys):
    status, told, _ = said(capsys, "models", "shufflenet_v2_x?_0", "--json")
    assert status == 0
    rows = json.loads(told)
    assert [(row["name"], row["params"]) for row in rows] == [
        ("shufflenet_v2_x1_0", 2_278_604),
        ("shufflenet_v2_x2_0", 7_393_996),
    ]
    status, told, _ = said(capsys, "models", "lenet", "--columns", "name,size,params,memory_access,macs,paper,weights")
    assert "lenet     128     0.086 M        0.906 M  22.227 M" in told


def refused(capsys, words, *arguments):
    status, _, error = said(capsys, *arguments)
    assert status == 1
    assert error.startswith("error: ")
    assert len(error.splitlines()) <= 2
    assert words in error
    assert "Traceback" not in error


def test_bad_input_is_one_or_two_clear_lines(folder_of_digits, finished_run, tmp_path, capsys):
    out = tmp_path / "run"
    empty = tmp_path / "empty"
    empty.mkdir()
    single = tmp_path / "single"
    (single / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(single / "cat" / "a.png")
    picture = finished_run.validation[0]
    refused(capsys, "does not exist", "train", tmp_path / "nowhere", "--out", out)
    refused(capsys, "holds no pictures", "train", empty, "--out", out)
    refused(capsys, "one class only (cat)", "train", single, "--out", out)
    refused(capsys, "did you mean shufflenet_v2_x1_0?", "train", "digits", "--out", out, "--model", "shuflenet_v2_x1_0")
    refused(capsys, "Did you mean", "train", "digits", "--epoch", "3")
    refused(capsys, "epochs must be", "train", "digits", "--epochs", "0", "--out", out)
    refused(capsys, "another run", "train", "digits", "--out", finished_run.folder.path)
    refused(capsys, "is not a run", "evaluate", empty)
    refused(capsys, "holds no saved network", "export", empty)
    refused(capsys, "holds no saved network", "predict", empty, picture)
    refused(capsys, "nothing at", "predict", tmp_path / "nowhere", picture)
    refused(capsys, "no picture at", "predict", finished_run.folder.path, tmp_path / "no.jpg")
    refused(capsys, "no network's name matches", "models", "alexnet9000")
    text = tmp_path / "text.jpg"
    text.write_text("words")
    refused(capsys, "text.jpg: not a picture", "predict", finished_run.folder.path, text)
    refused(capsys, "ends in one of .onnx", "export", finished_run.folder.path, "--out", tmp_path / "report.html")
    (tmp_path / "foreign.onnx").write_bytes(b"foreign")
    refused(capsys, "is not a file that ONNX Runtime can run", "predict", tmp_path / "foreign.onnx", picture)
    assert not out.exists() or not any(entry.name != ".lock" for entry in out.iterdir())


def test_a_full_disk_loses_nothing(folder_of_digits, tmp_path, capsys, monkeypatch):
    import errno
    from pathlib import Path

    out = tmp_path / "run"
    real = Path.write_bytes
    written = []

    def full(path: Path, content: bytes) -> int:
        written.append(path.name)
        if len(written) > 2:  # after the first epoch's weights and checkpoint
            real(path, content[:100])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(path, content)

    two = [*FAST[:3], "2", *FAST[4:]]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        patch.setattr("riffle.training.loop.PAUSE_SECONDS", 0.0)  # a checkpoint after every epoch, however short
        refused(capsys, "the disk is full", "train", folder_of_digits, "--out", out, *two)
    left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"last/checkpoint.safetensors", "best/model.safetensors", "recipe.toml"} <= left
    assert not [name for name in left if ".riffle-" in name]
    status, told, _ = said(capsys, "train", folder_of_digits, "--out", out, *two)
    assert status == 0
    assert "epoch 2/2" in told


def test_pictures_of_every_kind_are_learned_from(folder_of_digits, tmp_path, capsys, photo):
    kinds = folder_of_digits / "digit 1"
    image = Image.fromarray(photo).resize((64, 48))
    image.convert("CMYK").save(kinds / "cmyk.jpg")
    Image.new("I;16", (30, 30), 40000).save(kinds / "deep.png")
    image.quantize(16).save(kinds / "palette.png")
    Image.new("RGB", (1, 1)).save(kinds / "one pixel.png")
    exif = Image.Exif()
    exif[0x0112] = 8
    image.save(kinds / "turned.jpg", exif=exif)
    (kinds / "cut.jpg").write_bytes(encoded(image, "JPEG")[:600])
    (kinds / "text.jpg").write_text("words")
    status, told, _ = said(capsys, "train", folder_of_digits, "--out", tmp_path / "run", *FAST)
    assert status == 0
    assert "cut.jpg: " in told
    assert "text.jpg: not a picture" in told
    assert "2 unreadable files skipped" in told
    assert "52 pictures to learn from, 13 held out" in told
    assert "cut.jpg" in (tmp_path / "run" / "report.html").read_text()
