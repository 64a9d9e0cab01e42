"""The translation experiment as a person runs it."""

import io
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.shared.runs import load_run
from experiments.shared.scores import bleu, signature, tokenized_bleu, translation_metrics
from experiments.translation import __main__ as experiment
from experiments.translation import trying
from experiments.translation.network import BATCH_SIZE, make_model, recipe_of, translate_texts, writer_of
from experiments.translation.results import mistakes_table
from kerasapps.checkpoints import load_arrays
from kerasapps.decoding import GREEDY, Beam, Sampling
from kerasapps.errors import DataError
from kerasapps.runs import Options
from tests.experiments.commands import commands, read

run, refused = commands("experiments.translation", *experiment.COMMANDS)
ROOT = Path(__file__).parents[2]
SMALL = '{"embedding_dim": 32, "units": 64, "dropout": 0.0}'


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A network that has learned something from 1,000 sentences."""
    folder = tmp_path_factory.mktemp("runs") / "market"
    few = ("--limit", 1000, "--epochs", 5, "--batch-size", 512, "--learning-rate", 0.015, "--params", SMALL)
    run("train", *few, "--beam", 2, "--out", folder)
    return folder


def test_train_learns_what_a_guess_cannot_reach(trained):
    metrics = read(trained)
    assert metrics["chrf"] > 25  # that of an untrained network is under 5
    assert {"exact_match", "bleu", "bleu_cased", "chrf", "seconds", "bleu_greedy", "bleu_tokenized"} <= metrics.keys()
    html = (trained / "report.html").read_text()
    for shown in ("BLEU of greedy translations", "case:lc", "tok:13a", "Words that are wrong", "attends to the piece"):
        assert shown in html
    assert (trained / "figures" / "attention_1.png").exists()
    assert {"source", "target", "max_length"} == read(trained, "codec.json").keys()


def test_evaluate_repeats_what_train_found(trained, capsys):
    run("evaluate", "--run", trained, "--beam", 2)
    said = capsys.readouterr().out
    assert re.search(rf"^bleu  +{read(trained)['bleu']:.4f}$", said, re.MULTILINE)
    for which in ("case:lc", "case:mixed", "tok:13a", "nc:6"):
        assert which in said.replace("\n", "")


def test_evaluate_takes_data_of_another_kind_with_what_belongs_to_it(trained, tmp_path, capsys):
    for name, text in (("source", "The farmer has sold one hat."), ("target", "Der Bauer hat einen Hut verkauft.")):
        (tmp_path / name).write_text("".join(f"{text[:-1]} {i}.\n" for i in range(20)))
    own = ("--data", tmp_path / "source", "--target", tmp_path / "target")
    run("evaluate", "--run", trained, *own, "--beam", 1)
    assert "chrf" in capsys.readouterr().out
    assert "--pair chooses among" in refused(capsys, "evaluate", "--run", trained, *own, "--pair", "fr-en")
    assert "give both" in refused(capsys, "evaluate", "--run", trained, "--target", tmp_path / "target")


def test_a_line_comes_out_for_each_line_that_goes_in(trained, tmp_path, capsys, monkeypatch):
    lines = ["The farmer has sold one hat.", "", "The child will bring one hat.", "zyx 😀"]
    (tmp_path / "lines.txt").write_text("\n".join(lines) + "\n")
    run("translate", "--run", trained, "--file", tmp_path / "lines.txt", "--beam", 1)
    said = capsys.readouterr().out
    assert said.count("\n") == 4
    assert said.split("\n")[1] == ""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(lines).encode())))
    run("translate", "--run", trained, "--beam", 1)
    assert capsys.readouterr().out == said
    run("translate", "--run", trained, "--file", tmp_path / "lines.txt", "--beam", 2, "--n-best", 2)
    assert "score" in capsys.readouterr().out
    run("translate", "--run", trained, "--file", tmp_path / "lines.txt", "--temperature", 0.8, "--top-k", 5)
    assert capsys.readouterr().out.count("\n") == 4
    run("translate", "--run", trained, "--file", tmp_path / "lines.txt", "--pictures", tmp_path / "pictures")
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["1.png", "3.png", "4.png"]


def test_lines_are_answered_as_they_come(monkeypatch):
    class Slow(io.RawIOBase):
        """Gives a few bytes at a time."""

        parts = iter([b"\xef\xbb\xbfone\r\ntw", b"o\n", b"\n", b"three\nfo", b"ur"])

        def readable(self):
            return True

        def readinto(self, buffer):
            part = next(self.parts, b"")
            buffer[: len(part)] = part
            return len(part)

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Slow())))
    assert list(experiment.standard_input()) == [["one"], ["two"], [""], ["three"], ["four"]]


def test_a_translation_depends_on_no_other_line(trained):
    saved = load_run(trained, "translation").in_float32()
    writer = writer_of(saved.model, "additive")
    texts = ["hat hat hat", "The farmer has sold one hat in the town to the old baker. " * 2, "one"]
    for how in (GREEDY, Beam(3)):
        together = translate_texts(writer, saved.codec, texts, how)
        alone = [translate_texts(writer, saved.codec, [text], how)[0] for text in texts]
        for a, b in zip(together, alone, strict=True):
            assert [text for text, _ in a] == [text for text, _ in b]
            np.testing.assert_allclose([score for _, score in a], [score for _, score in b], atol=1e-4)


def test_the_page_translates_and_shows_what_was_read(trained):
    saved = load_run(trained, "translation")
    assert trying.questions(saved)[0].hint == "The languages are en-de."
    tried = trying.answer(saved, {"text": "The farmer has  sold one hat."})
    assert len(tried.blocks) == 2  # translations, and attention
    with pytest.raises(DataError, match="nothing to translate"):
        trying.answer(saved, {"text": " "})


def test_what_a_network_of_an_own_file_is_called(tmp_path, capsys):
    rows = [f"{word} {i}\t{i} {word}" for i, word in enumerate("abcdefghijklmnopqrstuvwxyz")]
    (tmp_path / "own.tsv").write_text("\n".join(rows))
    few = ("--smoke", "--tokens", "words", "--vocab-size", 30, "--out", tmp_path / "run")
    run("train", "--data", tmp_path / "own.tsv", *few)
    said = capsys.readouterr().out
    assert "of the words of the sources" in said
    assert "unknown, as too rare for --vocab-size" in said
    assert read(tmp_path / "run", "config.json")["settings"]["pair"] is None
    assert "en-de" not in (tmp_path / "run" / "report.html").read_text()
    (tmp_path / "lines.txt").write_text("never seen\n")  # of unknown words alone
    run("translate", "--run", tmp_path / "run", "--file", tmp_path / "lines.txt")
    assert capsys.readouterr().out.count("\n") == 1


def test_what_cannot_be_translated(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"good\n\xff\xfebad\n")))
    assert "Standard input, line 2: not UTF-8 text." in refused(capsys, "translate", "--run", trained)
    (tmp_path / "long.txt").write_text("The farmer " * 100)
    said = refused(capsys, "translate", "--run", trained, "--file", tmp_path / "long.txt")
    assert "--max-length was 100 in training" in said
    assert "--beam must be in [1, 100]. Received: 0" in refused(capsys, "translate", "--run", trained, "--beam", 0)
    assert "--n-best must be at most --beam" in refused(capsys, "translate", "--run", trained, "--n-best", 9)
    assert "nowhere.txt is no file" in refused(
        capsys, "translate", "--run", trained, "--file", tmp_path / "nowhere.txt"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "nowhere.tsv"), "--data nowhere.tsv is neither market, multi30k nor a file"),
        (("--pair", "en-fr"), "--pair en-fr is none of those of market: en-de, de-en"),
        (("--max-length", 3), "pairs of texts is left: --max-length 3 is shorter than every one"),
        (("--target", "texts.en"), "--target holds the translations of a file that --data names"),
        (("--data", "texts.de", "--pair", "de-en"), "--pair chooses among the languages of market or multi30k"),
        (("--vocab-size", 20), "--vocab-size must be at least 300 for subwords"),
        (("--beam", 0), "--beam must be in [1, 100]"),
        (("--params", '{"layers": 3}'), "--params: --arch additive does not take layers; it takes"),
    ],
)
def test_one_clear_sentence(tmp_path, capsys, arguments, message):
    assert message in refused(capsys, "train", *arguments, "--smoke", "--out", tmp_path / "run")


@pytest.mark.slow
def test_search_writes_params_that_train_takes(tmp_path):
    run("search", "--smoke", "--max-trials", 1, "--beam", 1, "--out", tmp_path / "search")
    run("train", "--smoke", "--params", tmp_path / "search" / "best.json", "--beam", 1, "--out", tmp_path / "best")


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["lectures", "dot", "none", "transformer"])
def test_every_architecture_learns_to_copy(arch):
    sizes = {"source_vocab_size": 12, "target_vocab_size": 12}
    params = {"units": 32, "dropout": 0.0} | ({"heads": 2} if arch == "transformer" else {"embedding_dim": 16})
    recipe = recipe_of(arch, "market", options=Options())
    model = make_model(arch=arch, sizes=sizes, params=params, recipe=recipe, steps=400, max_length=10)
    words = np.random.default_rng(0).integers(4, 12, (640, 3)).astype(np.int32)
    start = np.full((640, 1), 2, np.int32)
    inputs = {"source": words, "target": np.concatenate([start, words[:, :-1]], 1)}
    model.fit(inputs, words, epochs=20, batch_size=32, verbose=0)
    assert (model.predict(inputs, verbose=0)["next"].argmax(-1) == words).mean() > 0.9


# --- by hand


def test_the_kinds_of_bleu_are_kept_apart():
    reference, text = ["Two dogs run over the green grass ."], ["two dogs run over the green grass."]
    assert bleu(reference, reference) == pytest.approx(100)
    assert bleu(text, reference, lowercase=True) == pytest.approx(100)
    assert bleu(text, reference) < 100
    assert tokenized_bleu(text, reference) == pytest.approx(100)
    assert "case:lc" in signature(lowercase=True)
    assert "case:mixed" in signature(lowercase=False)
    metrics = translation_metrics([*text, *reference], reference * 2)
    assert metrics["exact_match"] == 0.5
    assert metrics.keys() == {"exact_match", "bleu", "bleu_cased", "bleu_tokenized", "chrf"}


def test_mistakes_by_hand():
    table = mistakes_table(
        [("ein roter Hut", "one red hat"), ("zwei Hüte", "two hats")], ["one roter hat hat", "two hats"]
    )
    assert [row[1] for row in table.rows] == [1, 2, 1, 1]
    assert [row[2] for row in table.rows] == ["red 1", "roter 1, hat 1", "roter 1", "hat 1"]


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["additive", "transformer"])
def test_killed_and_resumed_it_ends_as_if_it_had_not_been(tmp_path, arch):
    sizes = SMALL if arch == "additive" else '{"units": 32, "heads": 2}'
    few = ("train", "--arch", arch, "--limit", 300, "--epochs", 3, "--batch-size", 256, "--params", sizes, "--beam", 1)
    run(*few, "--out", tmp_path / "whole")
    command = [sys.executable, "-m", "experiments.translation", *few, "--out", tmp_path / "killed"]
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "history.csv").exists() and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert len((tmp_path / "killed" / "history.csv").read_text().splitlines()) < 4
    run(*few, "--out", tmp_path / "killed", "--resume")
    whole, killed = (load_arrays(tmp_path / name / "checkpoints" / "last.npz")[0] for name in ("whole", "killed"))
    for name, values in whole.items():
        np.testing.assert_array_equal(killed[name], values)


@pytest.mark.slow
def test_draws_of_one_batch_do_not_come_again_in_the_next(trained):
    saved = load_run(trained, "translation")
    writer = writer_of(saved.model, "additive")
    texts = ["The farmer has sold one hat."] * (2 * BATCH_SIZE)
    drawn = [one[0][0] for one in translate_texts(writer, saved.codec, texts, Sampling(temperature=2.0))]
    assert drawn[:BATCH_SIZE] != drawn[BATCH_SIZE:]
    assert drawn == [one[0][0] for one in translate_texts(writer, saved.codec, texts, Sampling(temperature=2.0))]
