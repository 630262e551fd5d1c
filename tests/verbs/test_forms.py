"""Which form is shipped, and that all of them give the network's answers."""

import numpy as np
import pytest

import riffle
from riffle.cli.app import run as run_command
from riffle.deployment.runtimes import RUNTIMES
from riffle.deployment.session import Session
from riffle.profiling.latency import Latency
from riffle.verbs import export as verb
from riffle.verbs import forms
from riffle.verbs.export import Settings, export_run

PREPROCESSING = riffle.Preprocessing(size=64, resize=64)


@pytest.mark.parametrize(
    ("name", "shuffles"),
    [("shufflenet_v2_x0_5", True), ("lenet", False), pytest.param("mobilenet_v2", False, marks=pytest.mark.slow)],
)
def test_only_a_network_with_shuffles_to_remove_has_forms(name, shuffles):
    network = riffle.create(name, num_classes=3, **({"size": 64} if name == "lenet" else {}))
    found = forms.forms_of(network, PREPROCESSING)
    assert found == (("plain", "unshuffled", "padded8", "padded16") if shuffles else ("plain",))


@pytest.mark.slow
@pytest.mark.parametrize("fastest", ["plain", "padded16"])
def test_tuning_ships_the_fastest(fastest, finished_run, tmp_path, monkeypatch, capsys):
    def measured(calls, **_):
        for call in calls.values():
            call()  # each is a file that runs
        return {form: Latency(1.0 if form == fastest else 2.0, 1, 3, 20, 1) for form in calls}

    def stand_in(runtime, network, preprocessing, path, precision="float32", batch=None):
        written.append((path.name, network.card.rewrites))
        return real(runtime, reference, preprocessing, path, precision, batch)

    try:
        RUNTIMES["ncnn"].require(to_write=True)
    except ValueError as hint:
        pytest.skip(str(hint))
    written: list[tuple[str, tuple[str, ...]]] = []
    real, reference = verb.write, finished_run.model
    monkeypatch.setattr(forms, "measure_blocks", measured)
    monkeypatch.setattr(forms, "write", stand_in)
    monkeypatch.setattr(verb, "write", stand_in)
    out = tmp_path / "tuned.ncnn.param"
    command = ["export", str(finished_run.folder.path), "--to", "ncnn", "--out", str(out), "--tune"]
    assert run_command(command) == 0
    assert f"{fastest} 1.00 ms" in capsys.readouterr().out
    done = {
        "plain": ("fuse",),
        "unshuffled": ("fuse", "unshuffle"),
        "padded8": ("fuse", "unshuffle_8"),
        "padded16": ("fuse", "unshuffle_16"),
    }
    assert written == [(f"{form}.ncnn.param", rewrites) for form, rewrites in done.items()] + [
        ("tuned.ncnn.param", done[fastest])
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("form", ["plain", "unshuffled", "padded8", "padded16"])
def test_each_form_is_the_same_network_in_each_runtime(name, form, finished_run, tmp_path):
    runtime = RUNTIMES[name]
    try:
        runtime.require(to_write=True)
    except ValueError as hint:
        pytest.skip(str(hint))
    made = export_run(finished_run.folder.path, tmp_path / f"x{runtime.suffix}", settings=Settings(form=form))
    assert made.form == form
    assert made.agreement.pictures == len(finished_run.validation)
    session = Session(made.path)
    assert session.rewrites[0] == "fuse"
    assert np.isclose(sum(one.probability for one in session.classify(finished_run.validation[0])), 1)


def test_settings_that_contradict_themselves_are_refused():
    with pytest.raises(ValueError, match="a form is one of plain, unshuffled"):
        Settings(form="padded4")
    with pytest.raises(ValueError, match="tuning chooses the form"):
        Settings(form="plain", tune=True)
