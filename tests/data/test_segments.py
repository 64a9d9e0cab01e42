"""Learned words against the words that texts without spaces were written with."""

import functools
import json
from collections import Counter

import numpy as np
import pytest

from benchmarks.scripts import words_of
from kerasapps.data.question_answering import StoryCodec, fit_codec, split_stories
from kerasapps.data.segments import ENOUGH, Segmenter, learn_segmenter
from kerasapps.data.words import WordIds, fit_words, settle_tokens, tokenize

from .test_question_answering import stories_of


@functools.cache
def written(script: str, *, words: int = 300, texts: int = 1_500) -> tuple[list[str], list[str]]:
    """Words of a script, and texts of them with nothing between."""
    rng = np.random.default_rng(0)
    vocabulary = rng.choice(words_of(script, 3 * words), words, replace=False).tolist()
    shares = 1 / np.arange(1, words + 1)  # some are frequent
    drawn = rng.choice(vocabulary, (texts, 2, 20), p=shares / shares.sum())
    return vocabulary, [".".join(map("".join, text)) for text in drawn]


learned = functools.cache(lambda script: settle_tokens("auto", written(script)[1]))


@pytest.mark.parametrize("script", ["Chinese", "Thai"])
def test_words_that_nothing_separates_are_found(script):
    vocabulary, texts = written(script)
    tokens, notes = learned(script)
    assert isinstance(tokens, Segmenter)
    assert "were learned from the texts" in notes[1]
    counts = Counter(word for text in texts for word in tokenize(text, tokens))
    right = sum(counts[word] for word in vocabulary)
    assert right > 0.8 * counts.total()  # characters alone: none
    assert "".join(tokenize(texts[0], tokens)) == texts[0].replace(".", "")


def test_other_scripts_and_unknown_letters_stay_as_they_are():
    tokens, _ = learned("Chinese")
    assert tokenize("I'm in London, 42!", tokens) == ("i'm", "in", "london", "42")
    assert tokenize("London龘iPhone", tokens) == ("london", "龘", "iphone")
    assert tokenize("龘龖", tokens) == ("龘", "龖")
    assert tokenize("", tokens) == ()


def test_every_column_is_learned_from_whatever_the_order_of_the_texts():
    vocabulary, texts = written("Chinese", texts=4_500)
    rows = ["体育：" + text.replace(".", "") for text in texts]  # over 300,000 letters, in every second run
    tokens = settle_tokens("auto", rows)[0]
    counts = Counter(word for text in rows[:500] for word in tokenize(text, tokens))
    assert sum(counts[word] for word in vocabulary) > 0.7 * counts.total()


def test_too_little_is_not_learned_from():
    _, texts = written("Chinese")
    few = texts[:200]
    assert learn_segmenter(few) is None
    assert settle_tokens("learned", few)[0] == "characters"
    assert settle_tokens("learned", ["texts that have spaces"])[0] == "words"
    assert learn_segmenter(["only latin words"] * ENOUGH) is None
    assert settle_tokens("words", texts)[0] == "words"


def test_a_text_without_any_punctuation_is_read_whole():
    _, texts = written("Chinese")
    tokens = learn_segmenter(["".join(texts).replace(".", "")])
    assert isinstance(tokens, Segmenter)


def test_a_codec_keeps_what_was_learned():
    _, texts = written("Thai")
    tokens, _ = learned("Thai")
    words = fit_words(texts, size=1000, length=50, tokens=tokens)
    again = WordIds.from_json(json.loads(json.dumps(words.to_json())))
    assert again == words
    np.testing.assert_array_equal(again.encode(texts)[0], words.encode(texts)[0])
    for damaged in ("AAAA", "no base64!", 7):
        with pytest.raises((ValueError, TypeError)):
            WordIds.from_json(words.to_json() | {"tokens": {"segmenter": damaged}})


def test_stories_are_cut_into_learned_words():
    _, texts = written("Chinese", texts=3_000)
    names = [text[:40] for text in texts]
    questions = stories_of(names, "{}去了花园。", "{}在哪里？")
    splits = split_stories(questions, [], form="story")
    assert isinstance(splits.codec.tokens, Segmenter)
    assert "were learned from the stories" in splits.notes[0]
    again = StoryCodec.from_json(json.loads(json.dumps(splits.codec.to_json())))
    assert again == splits.codec
    assert fit_codec(splits.questions["train"], form="story", tokens=again.tokens).words == again.words
