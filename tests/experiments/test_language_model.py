"""The language model experiment as a person runs it."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

from experiments.language_model import __main__ as experiment
from experiments.language_model.network import GRAMMAR, Samples, Writing, make_model, stopped, stream_text
from experiments.language_model.results import FUNCTIONS, closest, token_surprise
from kerasapps.checkpoints import load_arrays
from kerasapps.data.language import LanguageCodec
from kerasapps.data.vocabularies import Bytes, Characters, fit_vocabulary
from tests.experiments.commands import commands, read

run, refused = commands("experiments.language_model", *experiment.COMMANDS)
FEW = ("--context", 32, "--limit", 300, "--batch-size", 16)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A network that has learned something."""
    folder = tmp_path_factory.mktemp("runs") / "grammar"
    run("train", *FEW, "--epochs", 3, "--params", '{"units": 48}', "--precision", "float32", "--out", folder)
    return folder


def test_train_learns_what_frequencies_alone_do_not_give(trained):
    metrics = read(trained)
    assert metrics["loss"] < 2.5  # letters by their frequency have 2.8
    assert metrics["loss_reference"] == pytest.approx(0.4666, abs=1e-4)
    assert metrics["bits_per_character"] == pytest.approx(metrics["loss"] / np.log(2))
    assert metrics["perplexity"] == pytest.approx(np.exp(metrics["loss"]))
    html = (trained / "report.html").read_text()
    for shown in ("Samples over time", "Surprise", "What units follow", "entropy of the source"):
        assert shown in html


def test_evaluate_repeats_what_train_found(trained, tmp_path, capsys):
    run("evaluate", "--run", trained)
    assert re.search(rf"^loss  +{read(trained)['loss']:.4f}$", capsys.readouterr().out, re.MULTILINE)
    (tmp_path / "other.txt").write_text("the cat sees the Ωmega.\n" * 40)
    run("evaluate", "--run", trained, "--data", tmp_path / "other.txt")
    said = capsys.readouterr().out
    assert "loss_reference" not in said
    assert "loss_windows" in said


def test_generate_settles_threads_before_tensorflow_starts(trained, monkeypatch):
    done = []
    load_run = experiment.load_run
    monkeypatch.setattr(experiment, "set_devices", done.append)
    monkeypatch.setattr(experiment, "load_run", lambda *given: done.append("load") or load_run(*given))
    run("generate", "--run", trained, "--length", 1)
    assert done == ["recurrent", "load"]


def test_generate_prints_text_alone(trained, capsys):
    def text(*options) -> str:
        run("generate", "--run", trained, *options)
        return capsys.readouterr().out

    one = text("--prompt", "the king", "--length", 40, "--seed", 5)
    assert one.startswith("the king")
    assert len(one) == len("the king") + 40 + 1
    assert text("--prompt", "the king", "--length", 40, "--seed", 5) == one
    assert text("--prompt", "the king", "--length", 40, "--seed", 6) != one
    assert text("--prompt", "the king", "--length", 40, "--n", 3).count("\n---\n") == 2
    assert len(text("--length", 10)) == 11  # without a prompt
    greedy = text("--prompt", "a", "--length", 20, "--temperature", 0)
    assert text("--prompt", "a", "--length", 20, "--temperature", 0, "--seed", 9) == greedy
    assert text("--prompt", "a", "--length", 20, "--top-k", 1) == greedy
    assert text("--prompt", "a", "--length", 20, "--top-k", 1_000)
    assert text("--prompt", "a", "--length", 9, "--beam", 2, "--n", 2).count("\n---\n") == 1
    stop = greedy[4:6]
    assert text("--prompt", "a", "--length", 20, "--temperature", 0, "--stop", stop) == (
        greedy[: greedy.index(stop, 1)] + "\n"
    )


def test_a_prompt_that_was_never_seen(trained, capsys):
    run("generate", "--run", trained, "--prompt", "Ωmega", "--length", 5)
    captured = capsys.readouterr()
    assert "Left out of the prompt, as it was not in the training text: 'Ω'" in captured.err
    assert captured.out.startswith("mega")
    run("generate", "--run", trained, "--prompt", "ΩΩ", "--length", 5)
    assert len(capsys.readouterr().out) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--temperature", -1), "--temperature must be in [0, 1000]. Received: -1"),
        (("--top-p", 0), "--top-p must be in (0, 1]. Received: 0"),
        (("--repetition-penalty", 0.5), "--repetition-penalty must be in [1, 1000000]"),
        (("--beam", 2, "--n", 3), "--n must be at most --beam, which is 2"),
        (("--length", 0), "--length must be in [1, 10000000]"),
        (("--beam", 2, "--temperature", 0.5), "--beam draws nothing: leave out --temperature"),
        (("--stop", ""), "--stop must be strings that are not empty"),
    ],
)
def test_what_cannot_be_written(trained, capsys, options, message):
    assert message in refused(capsys, "generate", "--run", trained, *options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "nowhere.txt"), "--data nowhere.txt is neither grammar, shakespeare, a file nor a folder"),
        (("--context", 1), "--context must be at least 2"),
        (("--clip", -1), "--clip must be at least 0"),
        (("--params", '{"cell": "gru"}'), "--params: --arch lstm does not take cell; it takes"),
    ],
)
def test_one_clear_sentence(tmp_path, capsys, arguments, message):
    assert message in refused(capsys, "train", *arguments, "--smoke", "--out", tmp_path / "run")


def test_a_transformer_on_a_text_of_bytes(tmp_path, capsys):
    (tmp_path / "text.txt").write_bytes("größer\r\n".encode() * 60)
    small = '{"units": 8, "heads": 2, "feedforward": 8, "depth": 1}'
    out = ("--out", tmp_path / "run", "--epochs", 1, "--context", 8, "--batch-size", 16)
    run("train", "--arch", "transformer", "--data", tmp_path / "text.txt", "--tokens", "bytes", "--params", small, *out)
    assert (tmp_path / "run" / "figures" / "attention_heads.png").exists()
    capsys.readouterr()
    run("generate", "--run", tmp_path / "run", "--prompt", "größ😀", "--length", 30)
    assert capsys.readouterr().out.startswith("größ😀")
    said = refused(capsys, "generate", "--run", tmp_path / "run", "--beam", 2, "--length", 8)
    assert "must together be at most the --context of the training, 8. Received: 8" in said


def test_resumed_ends_as_if_never_stopped(tmp_path, monkeypatch):
    few = (
        "--context",
        16,
        "--limit",
        64,
        "--batch-size",
        16,
        "--epochs",
        2,
        "--params",
        '{"units": 8, "dropout": 0.5}',
    )
    run("train", *few, "--out", tmp_path / "whole")

    def stop(self, batch, logs=None):
        if self.model.optimizer.iterations == 6:  # within the second epoch
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Samples, "on_train_batch_begin", stop)
        run("train", *few, "--out", tmp_path / "part")
    assert read(tmp_path / "part")["epochs"] == 1
    run("train", *few, "--resume", "--out", tmp_path / "part")
    whole, part = (load_arrays(tmp_path / name / "checkpoints" / "last.npz")[0] for name in ("whole", "part"))
    for name, values in whole.items():
        np.testing.assert_array_equal(part[name], values)
    assert (tmp_path / "whole" / "samples.txt").read_text() == (tmp_path / "part" / "samples.txt").read_text()


@pytest.mark.slow
def test_search_writes_params_that_train_takes(tmp_path):
    run("search", "--smoke", "--max-trials", 1, "--out", tmp_path / "search")
    run("train", "--smoke", "--params", tmp_path / "search" / "best.json", "--out", tmp_path / "best")


# --- by hand


def test_each_token_is_surprising_once():
    model = make_model(arch="gru", sizes={"vocab_size": 6}, params={"units": 4}, recipe=GRAMMAR, steps=1)
    ids = np.random.default_rng(0).integers(1, 6, 40).astype(np.int32)
    logits = np.asarray(model([ids[None, :-1]])["next"][0])
    expected = -np.take_along_axis(np.asarray(keras.ops.log_softmax(logits)), ids[1:, None], -1)[:, 0]
    np.testing.assert_allclose(token_surprise(model, ids, window=100, skip=7), expected, atol=1e-5)
    some = token_surprise(model, ids, window=16, skip=8)
    np.testing.assert_allclose(some[:16], expected[:16], atol=1e-5)
    alone = np.asarray(model([ids[None, 23:39]])["next"][0])
    last = -np.take_along_axis(np.asarray(keras.ops.log_softmax(alone)), ids[24:, None], -1)[:, 0]
    np.testing.assert_allclose(some[-8:], last[-8:], atol=1e-5)


def test_functions_of_a_text():
    text = 'a "Bo."\nhi'
    values = {name: [float(one) for one in function(text)] for name, function in FUNCTIONS.items()}
    assert values["inside quotation marks"] == [0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert values["characters since the line began"] == [1, 2, 3, 4, 5, 6, 7, 0, 1, 2]
    assert values["characters since the word began"] == [1, 0, 1, 2, 3, 4, 5, 0, 1, 2]
    assert values["the first word of a line"] == [1, 0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert values["an upper-case letter"] == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]


def test_the_closest_unit():
    rng = np.random.default_rng(0)
    wanted = rng.normal(size=50)
    activity = rng.normal(size=(50, 3))
    activity[:, 1] = 5 - 2 * wanted
    found = closest(activity, {"wanted": wanted, "never": np.zeros(50)})
    assert [(name, unit, round(value, 6)) for name, unit, value in found] == [("wanted", 1, -1.0)]


class Scripted:
    """Writes the same ids whatever it is asked."""

    def __init__(self, *parts):
        self.parts = parts

    def stream(self, ids, how, **options):
        """Yields them."""
        yield from (np.array([part]) for part in self.parts)


def test_a_stop_string_across_two_parts():
    codec = LanguageCodec(Characters("ab.\n"), 8)
    ids = codec.vocabulary.encode
    scripted = Scripted(ids("ab"), ids(".\n"), ids("bb"))
    assert "".join(stream_text(scripted, codec, ids("a"), Writing(), length=6)) == "ab.\nbb"
    assert "".join(stream_text(scripted, codec, ids("a"), Writing(), length=6, stop=("\nb", "b."))) == "a"
    assert stopped("one two", ("two", "wo")) == "one "


def test_a_character_of_two_bytes_across_two_parts():
    codec = LanguageCodec(Bytes(), 8)
    ids = codec.vocabulary.encode("aß")
    assert list(stream_text(Scripted(ids[1:2], ids[2:]), codec, ids[:1], Writing(), length=2)) == ["", "ß", ""]


def test_a_character_of_three_pieces_cut_after_each():
    vocabulary = fit_vocabulary("the cat and the dog\n" * 50, tokens="subwords", size=300)
    codec, ids = LanguageCodec(vocabulary, 8), vocabulary.encode("the 日 cat")
    for cut in range(2, len(ids)):
        parts = stream_text(Scripted(ids[1:cut], ids[cut:]), codec, ids[:1], Writing(), length=len(ids))
        assert codec.decode(ids[:1]) + "".join(parts) == "the 日 cat"
