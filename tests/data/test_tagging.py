"""Tagged sequences: what of them can be known, files in columns, splits and their codec."""

from itertools import pairwise, product

import numpy as np
import pytest

from kerasapps.data.columns import Columns, read_columns
from kerasapps.data.dispatches import STATES, best_tags, source, write_dispatches
from kerasapps.data.markov import MarkovSource
from kerasapps.data.sightings import ANIMALS, PLACES, STAYS, best_animals, take_walks
from kerasapps.data.tagging import TagCodec, load_tagged
from kerasapps.errors import DataError


def test_forward_backward_is_what_adding_up_all_ways_gives():
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.ones(4), size=3)  # of each state: three moves and the end
    markov = MarkovSource(rng.dirichlet(np.ones(3)), rows[:, :3], rows[:, 3])
    likelihoods = rng.random((4, 3))
    smoothed, filtered = np.zeros((4, 3)), np.zeros((4, 3))
    for way in product(range(3), repeat=4):
        for t in range(4):
            until = way[: t + 1]
            chance = markov.start[way[0]] * np.prod([markov.moves[a, b] for a, b in pairwise(until)])
            chance *= np.prod([likelihoods[i, state] for i, state in enumerate(until)])
            filtered[t, way[t]] += chance / 3 ** (3 - t)  # the rest of the way adds nothing
        smoothed[np.arange(4), way] += chance * markov.end[way[-1]]
    np.testing.assert_allclose(markov.smoothed(likelihoods), smoothed / smoothed.sum(1, keepdims=True), rtol=1e-9)
    np.testing.assert_allclose(markov.filtered(likelihoods), filtered / filtered.sum(1, keepdims=True), rtol=1e-9)


def test_every_state_of_the_news_leads_somewhere():
    for name, state in STATES.items():
        assert state.then.keys() <= STATES.keys()
        assert sum(state.then.values()) == pytest.approx(0 if name == "stop" else 1)
    assert source().start.sum() == pytest.approx(1)


def test_what_a_name_is_shows_around_it():
    assert best_tags(("Lincoln", "Bank", "grew", "."), so_far=False)[:2] == ["B-ORG", "I-ORG"]
    assert best_tags(("Lincoln", "and", "Austin", "smiled", "."), so_far=False)[0] == "B-PER"
    assert best_tags(("Lincoln", "Bay", "flooded", "."), so_far=False)[:2] == ["B-LOC", "I-LOC"]
    first = {best_tags(("Lincoln", *rest, "."), so_far=True)[0] for rest in (("spoke",), ("merged",), ("voted",))}
    assert len(first) == 1  # who reads only forward cannot know what follows


def test_simulated_sequences_of_a_smaller_count_are_the_first_of_a_larger_one():
    assert write_dispatches(3, seed=1) == write_dispatches(5, seed=1)[:3]
    for one, other in zip(take_walks(2, seed=1), take_walks(3, seed=1), strict=False):
        np.testing.assert_array_equal(one.steps, other.steps)
        assert one.tags == other.tags


def test_the_best_guess_at_an_animal_is_what_adding_up_all_ways_gives():
    outputs = take_walks(1, seed=0)[0].steps[:5].astype(np.float64)
    chances = np.array(list(PLACES.values()))
    sums = np.zeros((5, len(ANIMALS)))
    for way in product(range(2), repeat=5):
        chance = np.prod([STAYS if a == b else 1 - STAYS for a, b in pairwise(way)])
        seen = chances[list(way)] * outputs  # (T, animals)
        sums += chance * np.prod(seen.sum(1)) * seen / seen.sum(1, keepdims=True)
    assert best_animals(outputs, so_far=False) == [ANIMALS[i] for i in sums.argmax(1)]
    # The notes' wolf: a dog for the classifier, but after a fox and a bear.
    wolf = np.array([[0, 0, 0.3, 0.7, 0, 0], [0, 0, 0, 0, 0, 1], [0.8, 0.15, 0, 0, 0.05, 0]])
    assert best_animals(wolf, so_far=True)[-1] == "wolf"


# --- files


def test_columns_are_read(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\n\nPeter NNP I-NP I-PER\n")
    sequences, _ = read_columns(path, Columns())
    assert [(one.steps, one.tags) for one in sequences] == [
        (("EU", "rejects"), ("I-ORG", "O")),
        (("Peter",), ("I-PER",)),
    ]
    assert read_columns(path, Columns(tag=1))[0][0].tags == ("NNP", "VBZ")
    assert [(one.steps, one.tags) for one in sequences[0].pieces(1)] == [(("EU",), ("I-ORG",)), (("rejects",), ("O",))]


def test_universal_dependencies_are_read(tmp_path):
    path = tmp_path / "train.conllu"
    path.write_text("# text = New York\n1\tNew York\tPROPN\r\n2\t#\tSYM\r\n\r\n# text = no\n1\tno\tINTJ\n", newline="")
    sequences, _ = read_columns(path, Columns(word=1, tag=2))
    assert [one.steps for one in sequences] == [("New York", "#"), ("no",)]


def test_of_universal_dependencies_only_words_are_steps(tmp_path):
    path = tmp_path / "train.conllu"
    rows = [["1", "voy", "VERB"], ["2-3", "al", "_"], ["2", "a", "ADP"], ["3", "el", "DET"], ["3.1", "gone", "VERB"]]
    path.write_text("".join("\t".join([*row, *"_______"]) + "\n" for row in rows))
    (one,), _ = read_columns(path, Columns(word=1, tag=2))
    assert (one.steps, one.tags) == (("voy", "a", "el"), ("VERB", "ADP", "DET"))


def test_a_word_may_have_blanks_that_are_none(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("10\u00a0000 NUM\nnext\u2028line NOUN\n")
    assert read_columns(path, Columns())[0][0].steps == ("10\u00a0000", "next\u2028line")


def test_windows_of_a_long_sequence_are_in_one_set(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("\n\n".join("\n".join(f"{i}-{t} {'XY'[t % 2]}" for t in range(40)) for i in range(12)))
    sets = load_tagged(str(path), longest=10).sequences
    begun = [{step.partition("-")[0] for one in own for step in one.steps} for own in sets.values()]
    assert sum(map(len, begun)) == 12
    assert max(len(one) for own in sets.values() for one in own) == 10


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("a X\nb\n", Columns(), "line 2: 1 column, where the first line has 2."),
        ("a X\n", Columns(tag=3), "line 1: nothing in column 3; it has 2 columns, from 0 on."),
        (
            "a\nb\n",
            Columns(),
            "has 1 column, and tags would be read from a column of --word too: choose",
        ),
        (
            "1 2 up\n",
            Columns(numbers=(0, 2)),
            "tags would be read from a column of --numbers too: choose --numbers",
        ),
        ("a\t\n", Columns(tag=1), "line 1: nothing in column 1"),
        ("\n\n", Columns(), "holds no sequences"),
        ("1 x up\n", Columns(numbers=(0, 1)), "line 1: 1 x are not all numbers."),
        ("1 2 up\n0 0 up\n", Columns(numbers=(0, 1)), "line 2: numbers must be finite, and not all of a step 0"),
        ("inf 2 up\n", Columns(numbers=(0, 1)), "line 1: numbers must be finite"),
    ],
)
def test_what_a_file_lacks_is_said(tmp_path, text, columns, message):
    path = tmp_path / "train.txt"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_columns(path, columns)
    assert message in str(error.value)


def test_a_column_of_words_is_no_column_of_tags(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("\n\n".join(f"word{i} X" for i in range(700)))
    with pytest.raises(DataError, match="different tags in column 0: is that a column of tags"):
        load_tagged(str(path), columns=Columns(word=1, tag=0))
    with pytest.raises(DataError, match="1 different tags in column 1"):
        load_tagged(str(path), columns=Columns(tag=1))
    path.write_text("a X\n\nb Y\n")
    with pytest.raises(DataError, match="2 sequences, too few to hold some out for validation"):
        load_tagged(str(path))


# --- splits


def test_words_are_those_of_the_training_set_that_are_seen_twice(tmp_path):
    for name, text in (("train", "a X\na Y\nb X\n"), ("valid", "c X\nc X\n"), ("test", "a Z\nd X\n")):
        (tmp_path / name).write_text(text)
    files = {name: str(tmp_path / name) for name in ("train", "valid", "test")}
    splits = load_tagged(files["train"], validation=files["valid"], test=files["test"])
    assert splits.codec.words == ("a",)
    assert splits.codec.tag_names == ("X", "Y", "Z")
    assert splits.sizes == {"num_tags": 3, "vocab_size": 3}
    assert splits.train.inputs["text"].tolist() == [[2, 2, 1]]
    assert splits.test.inputs["text"].tolist() == [[2, 1]]
    assert not splits.best
    with pytest.raises(DataError, match="'Z' is none of those"):
        TagCodec(("X", "Y"), ("a",)).split(splits.sequences["test"])


def test_padding_has_no_weight():
    splits = load_tagged(limit=9)
    lengths = [len(one) for one in splits.sequences["train"]]
    assert splits.train.weights["tags"].sum(1).tolist() == lengths
    inputs, targets, weights = next(iter(splits.train.batches(9)))
    assert inputs["text"].shape == targets["tags"].shape == weights["tags"].shape == (9, max(lengths))


@pytest.mark.parametrize("data", ["dispatches", "context"])
def test_the_codec_comes_back_from_json(data):
    splits = load_tagged(data, limit=5)
    codec = TagCodec.from_json(splits.codec.to_json())
    assert codec == splits.codec
    test = splits.sequences["test"]
    inputs = codec.encode(*(one.steps for one in test))
    for name, array in splits.test.inputs.items():
        np.testing.assert_array_equal(inputs[name], array)
    lengths = [len(one) for one in test]
    outputs = {"tags": np.eye(len(codec.tag_names))[splits.test.targets["tags"]]}
    assert codec.decode(outputs, lengths) == [list(one.tags) for one in test]
