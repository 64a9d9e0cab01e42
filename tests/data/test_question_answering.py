import json

import numpy as np
import pytest

from kerasapps.data.babi import parse_stories
from kerasapps.data.question_answering import (
    MAX_SENTENCES,
    UNKNOWN,
    StoryCodec,
    ask,
    fit_codec,
    load_stories,
    read_story,
    read_test_questions,
    split_stories,
)
from kerasapps.data.stories import write_stories
from kerasapps.errors import DataError

LINES = ["1 Nora went to the attic.", "2 Felix slept.", "3 Where is Nora?\tattic\t1", "4 Who slept?\tFelix\t2"]


@pytest.fixture
def questions():
    return parse_stories(LINES, kind="toy", source="toy")


def many(stories: int):
    lines = [f"1 Word{i} went to the attic.\n2 Where is word{i}?\tanswer{i % 7}\t1" for i in range(stories)]
    return parse_stories("\n".join(lines).split("\n"), kind="toy", source="toy")


def test_sentences_by_hand(questions):
    codec = fit_codec(questions, form="story")
    assert codec.words == ("attic", "felix", "is", "nora", "slept", "the", "to", "went", "where", "who")
    assert codec.answers == ("<unknown>", "attic", "felix")
    assert codec.sizes == {"vocab_size": 12, "num_answers": 3, "sentence_length": 5}
    split = codec.split(questions)
    np.testing.assert_array_equal(split.inputs["story"][0], [[5, 9, 8, 7, 2], [3, 6, 0, 0, 0]])
    np.testing.assert_array_equal(split.inputs["question"], [[10, 4, 5, 0, 0], [11, 6, 0, 0, 0]])
    np.testing.assert_array_equal(split.targets["answer"], [1, 2])
    np.testing.assert_array_equal(split.lengths["story"], [2, 2])


def test_one_text_by_hand(questions):
    codec = fit_codec(questions, form="text")
    assert codec.sizes == {"vocab_size": 12, "num_answers": 3}
    split = codec.split(questions)
    np.testing.assert_array_equal(split.inputs["text"][0], [5, 9, 8, 7, 2, 3, 6])
    assert set(split.inputs) == {"text", "question"}


def test_the_last_sentences_are_kept():
    lines = [f"{i} Nora saw thing{i}." for i in range(1, 101)] + ["101 What?\tthing100"]
    long = parse_stories(lines, kind="toy", source="toy")
    codec = fit_codec(long, form="story")
    split = codec.split(long)
    assert split.inputs["story"].shape[1] == MAX_SENTENCES
    assert codec.words[split.inputs["story"][0, -1, 2] - 2] == "thing100"


def test_words_and_widths_come_from_the_training_set_alone():
    splits = split_stories(many(50), [], form="story")
    seen = {word for question in splits.questions["train"] for word in (*question.story[0], *question.question)}
    assert set(splits.codec.words) == seen
    for part in ("validation", "test"):
        unseen = [q.story[0][0] not in seen for q in splits.questions[part]]
        assert all(unseen)
        np.testing.assert_array_equal(getattr(splits, part).inputs["story"][:, 0, 0], UNKNOWN)


def test_stories_stay_whole():
    splits = load_stories("stories", form="text", questions_per_kind=60)
    kept, held_out = ({q.story_id for q in splits.questions[part]} for part in ("train", "validation"))
    assert kept.isdisjoint(held_out)
    assert 0.05 < len(held_out) / len(kept | held_out) < 0.15


def test_an_answer_that_training_did_not_have_is_never_right(questions):
    codec = fit_codec(questions[:1], form="story")
    assert codec.split(questions).targets["answer"].tolist() == [1, 0]


def test_the_same_seed_gives_the_same_data_and_another_another():
    a, b, c = (load_stories("stories", form="story", questions_per_kind=30, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a.train.inputs["story"], b.train.inputs["story"])
    assert [q.text for q in a.questions["train"]] != [q.text for q in c.questions["train"]]


def test_training_and_test_stories_differ():
    splits = load_stories("stories", form="text", questions_per_kind=100)
    train, test = ({(q.text, q.question_text) for q in splits.questions[part]} for part in ("train", "test"))
    assert len(train & test) <= 1


def test_limit_takes_from_every_kind():
    splits = load_stories("stories", form="text", questions_per_kind=100, limit=26)
    for part in ("train", "test"):
        kinds = [question.kind for question in splits.questions[part]]
        assert len(set(kinds)) == 13
        assert len(kinds) <= 26


def test_two_stories_are_too_few():
    with pytest.raises(DataError, match="At least 3 stories are needed"):
        split_stories(many(2), [], form="text")


def test_held_out_questions_are_the_same_when_read_again(tmp_path):
    write_stories(tmp_path, part="train", questions_per_kind=20, seed=0)
    splits = load_stories(str(tmp_path), form="text", seed=3)
    again = read_test_questions(str(tmp_path), tasks=(), seed=3, trained_on=str(tmp_path))
    assert again == splits.questions["test"]
    everything = read_test_questions(str(tmp_path), tasks=(), seed=3, trained_on="stories")
    assert len(everything) == 13 * 20


@pytest.mark.real_data
def test_babi_is_split_and_encoded():
    splits = load_stories("babi", form="story", tasks=(1, 17))
    assert len(splits.test) == 2000
    assert len(splits.train) + len(splits.validation) == 2000
    assert splits.sizes["num_answers"] == 1 + 6 + 2  # six places, yes and no


def test_a_story_to_ask_about(tmp_path):
    path = tmp_path / "story.txt"
    path.write_text("1 Nora took 2 apples.\n\n2 Where is Nora?\tattic\t1\n3 She left!\n", encoding="utf-8-sig")
    assert read_story(path)[0] == ["Nora took 2 apples.", "She left!"]
    path.write_text("2 apples lay there.\nNora left.\n...\n")
    assert read_story(path)[0] == ["2 apples lay there.", "Nora left."]
    asked = ask(["Nora took 2 apples.", "...", "She left!"], "Who left?")
    assert asked.story == (("nora", "took", "2", "apples"), ("she", "left"))
    assert asked.text == ("Nora took 2 apples.", "She left!")
    assert asked.question == ("who", "left")


@pytest.mark.parametrize(("story", "question"), [(["..."], "Who?"), (["Nora left."], "?!")])
def test_nothing_to_ask(story, question):
    with pytest.raises(DataError, match=r"The (question|story) "):
        ask(story, question)


@pytest.mark.parametrize("form", ["text", "story"])
def test_the_codec_by_hand(questions, form):
    codec = StoryCodec.from_json(json.loads(json.dumps(fit_codec(questions, form=form).to_json())))
    assert codec == fit_codec(questions, form=form)
    inputs = codec.encode(story=["Nora went to the attic.", "Felix slept."], question="Where is the ZEPPELIN?")
    np.testing.assert_array_equal(inputs["question"], [[10, 4, 7, UNKNOWN, 0]])
    np.testing.assert_array_equal(inputs[form], codec.split(questions).inputs[form][:1])
    answers = codec.decode({"answer": np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]])})
    assert [list(row) for row in answers] == [["felix", "attic", "<unknown>"], ["<unknown>", "attic", "felix"]]
    assert answers[0]["felix"] == 0.7
    assert codec.outputs() == {"answer": 3}


@pytest.mark.parametrize("change", [{"form": "tree"}, {"words": 3}, {"sentence_length": "long"}])
def test_a_damaged_codec(questions, change):
    content = fit_codec(questions, form="story").to_json()
    with pytest.raises((TypeError, ValueError)):
        StoryCodec.from_json(content | change)


@pytest.mark.parametrize(("content", "said"), [(b"", "holds no sentence"), (b"\xff\xfe\x00", "must be UTF-8 text")])
def test_a_story_that_cannot_be_read(tmp_path, content, said):
    (tmp_path / "story.txt").write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_story(tmp_path / "story.txt")


@pytest.mark.parametrize(
    ("content", "story", "note"),
    [
        ("1 Mary left.\n2 Mary went to the office.\t", ["Mary left.", "Mary went to the office."], None),
        ("1\tMary left.\n2\tJohn left.", ["Mary left.", "John left."], None),
        ("Mary left.\t\n\tJohn left.", ["Mary left.", "John left."], None),
        ("1 A b.\r2 C d.", ["A b.", "C d."], None),
        ("1. A b.\n2. C d.", ["A b.", "C d."], None),
        ("1) A b.\n2) C d.", ["A b.", "C d."], None),
        ("1\u00a0A b.\n2\u00a0C d.", ["A b.", "C d."], None),
        ("１　玛丽去了。\n２　约翰走了。", ["玛丽去了。", "约翰走了。"], None),
        ("١ ذهبت مريم.\n٢ وصل يوحنا.", ["ذهبت مريم.", "وصل يوحنا."], None),
        ("3.5 liters leaked.\nMary left.", ["3.5 liters leaked.", "Mary left."], None),
        ("Mary\tleft.", ["Mary left."], None),
        ("1 A b.\n2 Who?\ta\n3 C d.", ["A b.", "C d."], "1 question is left out of the story, first on line 2."),
        ("A b.\nWho?\ta\nWho?\tb", ["A b."], "2 questions are left out of the story, first on line 2."),
        ("1 A b.\n2 C d.\n1 E f.\n2 G h.", ["E f.", "G h."], "holds 2 stories: the last one, from line 3 on, is read."),
        ("1 A b.\n1 C d.\n\n1 E f.", ["E f."], "holds 3 stories: the last one, from line 4 on, is read."),
    ],
)
def test_a_story_is_read_by_the_rules_of_the_format(tmp_path, content, story, note):
    (tmp_path / "story.txt").write_bytes(content.encode())
    found, notes = read_story(tmp_path / "story.txt")
    assert found == story
    assert len(notes) == (note is not None)
    assert note is None or notes[0].endswith(note)


def test_numbers_on_some_lines_only_are_refused(tmp_path):
    (tmp_path / "story.txt").write_text("1 A b.\n2 C d.\nE f.\n4 G h.")
    with pytest.raises(DataError, match=r"story\.txt, line 3: the line has no number"):
        read_story(tmp_path / "story.txt")


@pytest.mark.parametrize("question", ["2 Who left?    mary    1", "2 مَن غادر؟  مريم", "2 他在哪里？花园"])
def test_a_question_of_a_story_that_lost_its_tab_is_refused(tmp_path, question):
    (tmp_path / "story.txt").write_text(f"1 Mary left.\n{question}\n3 John left.", encoding="utf-8")
    with pytest.raises(DataError, match=r"story\.txt, line 2: a question must be followed by a tab"):
        read_story(tmp_path / "story.txt")


def test_what_a_network_does_not_see_is_reported():
    codec = StoryCodec(("a",), ("<unknown>", "a"), "story", 4)
    assert codec.left_out(ask(["a b c d."], "who?")) == []
    assert (
        "Sentence 2 has 6 words; the network reads the first 4"
        in codec.left_out(ask(["a.", "a b c. d e f."], "who?"))[0]
    )
    assert "has 71 sentences; the network reads the last 70" in codec.left_out(ask(["a."] * 71, "who?"))[0]
    text = StoryCodec(("a",), ("<unknown>", "a"), "text", 4)
    whole = "1 Mary left. 2 John came. 3 Mary slept."  # the whole story on one line
    assert "Sentence 1 has 9 words; the network reads the first 4" in codec.left_out(ask([whole], "who?"))[0]
    assert "reads the last 400 words" in text.left_out(ask(["a b"] * 201, "who?"))[0]
    assert "first 4 words of the question" in text.left_out(ask(["a b"], "a b c d e?"))[0]


def stories_of(names, sentence, asked):
    lines = [f"1 {sentence.format(name)}\n2 {asked.format(name)}\t{name}\n" for name in names]
    return parse_stories("".join(lines * 5).splitlines(), kind="mine", source="mine.txt")


def test_stories_without_spaces_are_cut_into_characters():
    questions = stories_of(["玛丽", "约翰"], "{}去了花园。", "{}在哪里？")
    splits = split_stories(questions, [], form="story")
    assert splits.codec.tokens == "characters"
    assert "玛" in splits.codec.words
    assert "cut into characters" in splits.notes[0]
    again = StoryCodec.from_json(splits.codec.to_json())
    np.testing.assert_array_equal(
        again.encode(story=["玛丽去了花园。"], question="玛丽在哪里？")["story"][0, 0, :2] > 1, True
    )
    assert again.unknown(ask(["玛丽去了海边。"], "玛丽在哪里？")) == ["海", "边"]
    assert split_stories(questions, [], form="story", tokens="words").codec.tokens == "words"


@pytest.mark.parametrize(
    "names",
    [
        ["मीरा", "मारी", "मोरा", "मूरा", "मेरी", "मैरी"],
        ["মীরা", "মারি", "মোরা", "মূরা", "মেরি", "মৈরি"],
        ["మీరా", "మారి", "మోరా", "మూరా", "మేరీ", "మైరి"],
        ["כַּלָּה", "כָּלָה", "כֹּלָה", "כֻּלָּה", "כִּלָּה", "כֶּלָה"],
    ],
)
def test_names_that_differ_in_vowel_signs_are_different_words(names):
    splits = split_stories(stories_of(names, "{} बाग में गई।", "{} कहाँ है?"), [], form="text")
    assert set(names) <= set(splits.codec.words)
    assert splits.notes == ()


def test_sentences_with_question_marks_are_counted():
    splits = split_stories(stories_of(["pallavi", "sumit"], "{} bhedia hai ?.", "{} kya hai?"), [], form="text")
    assert splits.notes[0].startswith("10 sentences hold a question mark")


def test_a_codec_from_before_there_was_a_choice():
    codec = StoryCodec(("a",), ("<unknown>", "a"), "story", 4)
    content = codec.to_json()
    del content["tokens"]
    assert StoryCodec.from_json(content) == codec
    with pytest.raises(ValueError, match="`tokens` must be"):
        StoryCodec.from_json(content | {"tokens": "syllables"})
