"""Words in every script: what belongs to a word, what separates words, and what a codec keeps of that."""

import unicodedata

import numpy as np
import pytest

from kerasapps.data.words import WordIds, fit_words, settle_tokens, split_sentences, tokenize


@pytest.mark.parametrize(
    "words",
    [
        "मीरा मारी मैरी",  # Hindi
        "মীরা কোথায়",  # Bengali
        "మీరా ఎక్కడ",  # Telugu
        "மீரா எங்கே",  # Tamil
        "มีนา น้ำ ที่ไหน",  # Thai
        "ស្រី ផ្ទះ",  # Khmer
        "بَيْتٌ كَبِيرٌ",  # Arabic with vowels
        "שָׁלוֹם עוֹלָם",  # Hebrew with vowels
        "می\u200cخواهم کتاب",  # Persian with a joiner
        "ක්\u200dෂ ලංකාව",  # Sinhala with a joiner
        "မြန်မာ စာ",  # Burmese
        "𑄃𑄧 𑄇𑄨",  # Chakma, above U+FFFF
        "tiếng việt",  # Vietnamese
        "ਮੀਰਾ ਕੁੱਤਾ",  # Punjabi
        "മീര അവന്\u200dറെ",  # Malayalam with a joiner
        "र्\u200dयाला कुठे",  # Marathi with a joiner
        "ມີນາ ຢູ່ໃສ",  # Lao
        "ދިވެހި ރާއްޖެ",  # Dhivehi, whose vowels are all marks
        "ܥܲܠܡܵܐ",  # Syriac
        "ߒߞߏ ߛߓߍ",  # N'Ko, whose tones are marks
        "ọ̀rẹ́ ẹ̀kọ́",  # Yoruba, which has no composed letters for its tones
    ],
)
def test_marks_and_joiners_belong_to_the_word(words):
    assert tokenize(words) == tuple(words.split())
    assert tokenize(unicodedata.normalize("NFD", words)) == tokenize(words)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ПЕНСИЯ ВНУКИ ОГОРОД", "пенсия внуки огород"),
        ("«пенсия» „внуки“ — ‚огород‘…", "пенсия внуки огород"),
        ("cafe\u0301 CAFE\u0301", "café café"),
        ("STRASSE Straße", "strasse strasse"),
        ("ΟΔΟΣ οδός", "οδοσ οδόσ"),
        ("don\u2019t DON'T", "don't don't"),
        ("Mary\u2011Ann mary\u2010ann", "mary-ann mary-ann"),
        ("Donau\u00addampf", "donaudampf"),
        ("\u200fשלום\u200e", "שלום"),
        ("我，爱。你！「好」", "我 爱 你 好"),
        ("¿Qué? ¡No!", "qué no"),
        ("क्या, हाँ। नहीं॥", "क्या हाँ नहीं"),
        ("'quoted' -dash- \u0301stray", "quoted dash stray"),
        ("İSTANBUL İzmir", "istanbul izmir"),
        ("ＡＢＣ　１２３ ｶﾞｽ", "abc 123 ガス"),
        ("كـتـاب كتــــاب", "كتاب كتاب"),
        ("ŒUVRE ﬁne", "œuvre fine"),
        ("it´s o′clock", "it's o'clock"),
        ('צה"ל דו"ח', "צה״ל דו״ח"),
        ('"שלום"', "שלום"),
    ],
)
def test_spellings_of_the_same_words(one, other):
    assert tokenize(one) == tuple(tokenize(other)) == tuple(other.replace("ς", "σ").split())


def test_words_with_signs_inside():
    assert tokenize("צה״ל col·lecció м'ята l’ami") == ("צה״ל", "col·lecció", "м'ята", "l'ami")
    assert tokenize("I ❤️ it👍🏽👩\u200d🔬!") == ("i", "❤️", "it", "👍🏽", "👩\u200d🔬")


def test_ascii_takes_a_short_cut_to_the_same_words():
    rng = np.random.default_rng(0)
    for text in rng.choice(list("ab1_ .,;:\n\t?!\"#/\\'-"), (2000, 12)):
        text = "".join(text)
        assert tokenize(text) == tokenize(text + " é")[:-1], text


def test_punctuation_marks_are_tokens_where_asked_for():
    assert tokenize("Don't go, «Mary-Ann»! 🙂 …", "punctuation") == (
        *("don't", "go", ",", "«", "mary-ann", "»", "!", "🙂", "…"),
    )
    assert tokenize("ना।", "punctuation") == ("ना", "।")
    assert tokenize("a\u200bb\u200d é \ufe0f\x00!\u0301", "punctuation") == ("a", "b", "é", "!")
    assert tokenize("Don’t go to NASA!", "cased") == ("Don't", "go", "to", "NASA", "!")
    assert settle_tokens("punctuation", ["One, two."])[1] == ("4.0 words and punctuation marks in a text on average.",)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ('It was dull. "Why?" No plot!', ["It was dull.", '"Why?"', "No plot!"]),
        ("3.5 stars… «Ja.» Ende", ["3.5 stars…", "«Ja.»", "Ende"]),
        ("क्या? हाँ। नहीं", ["क्या?", "हाँ।", "नहीं"]),
        ("这很好。「真的！」他说。好", ["这很好。", "「真的！」", "他说。", "好"]),
        ("یہ اچھا ہے۔ ہاں", ["یہ اچھا ہے۔", "ہاں"]),
        ('He asked (why?!"). So.', ['He asked (why?!").', "So."]),
        ("  ", []),
    ],
)
def test_sentences_end_in_every_script(text, sentences):
    assert split_sentences(text) == sentences


@pytest.mark.parametrize("mark", ["!", "。"])
def test_a_megabyte_of_marks_is_read_once(mark):
    marks = mark * 1_000_000
    assert len(split_sentences(f"{marks}a b.")) == (1 if mark == "!" else 2)
    assert split_sentences(f"a{marks} b") == [f"a{marks}", "b"]


def test_ids_by_sentences():
    words = WordIds(("a", "b", "c"), length=5, keep="both")
    ids, lengths = words.encode_sentences(["a b c. b!", "", "a. a b c a b c"], longest=2)
    # Of the third text, of 7 tokens, the first 3 and the last 2 stay: a | a b .. b c. The short one joins the next.
    assert ids.tolist() == [
        [[2, 3], [4, 0], [3, 0]],
        [[0, 0], [0, 0], [0, 0]],
        [[2, 2], [3, 3], [4, 0]],
    ]
    assert lengths.tolist() == [3, 1, 3]


def test_characters_keep_their_marks():
    assert tokenize("มีนา!", "characters") == ("มี", "น", "า")
    assert tokenize("我爱 C3", "characters") == ("我", "爱", "c", "3")


@pytest.mark.parametrize(
    ("texts", "settled"),
    [
        (["我爱北京天安门", "今天天气很好。我们去公园"], "characters"),
        (["今天 天气 很 好", "我们 去 公园"], "words"),
        (["今日は天気がいいですね"], "characters"),
        (["วันนี้อากาศดีมาก เราไปสวน"], "characters"),
        (["วันนี้ อากาศ ดี มาก", "เรา ไป สวน"], "words"),
        (["ថ្ងៃនេះអាកាសធាតុល្អ"], "characters"),
        (["오늘 날씨가 좋다"], "words"),
        (["我用 iPhone 拍照很开心", "这个 app 不错"], "characters"),
        (["ខ្ញុំ\u200bស្រឡាញ់\u200bភាសា\u200bខ្មែរ"], "words"),
        (["བོད་སྐད་ཡིན་པས།"], "words"),
        (["我爱 Python because it is a nice language"], "words"),
        (["привет мир", "a fine day"], "words"),
        (["", "  "], "words"),
        ([], "words"),
    ],
)
def test_texts_without_spaces_are_cut_into_characters(texts, settled):
    found, notes = settle_tokens("auto", texts)
    assert found == settled
    assert notes[0].endswith(f"{settled} in a text on average.")
    assert any("no spaces" in note for note in notes) == (settled == "characters")
    assert settle_tokens("words", texts)[0] == "words"


def test_texts_of_one_word_are_noted():
    assert "try `--tokens characters`" in settle_tokens("auto", ["one_long_word", "another"])[1][1]
    assert len(settle_tokens("auto", ["two words"])[1]) == 1
    with pytest.raises(ValueError, match="`tokens` must be one of auto, words, punctuation, cased, characters"):
        settle_tokens("syllables", ["a"])


def test_ids_come_by_frequency_and_the_codec_keeps_how_texts_were_cut():
    words = fit_words(["b a b", "c b a", ""], size=4, length=2)
    assert words.words == ("b", "a")
    ids, lengths = words.encode(["A b b", "", "c"])
    np.testing.assert_array_equal(ids, [[3, 2], [0, 0], [1, 0]])
    np.testing.assert_array_equal(lengths, [2, 1, 1])
    letters = fit_words(["我爱"], size=10, length=5, tokens="characters")
    assert WordIds.from_json(letters.to_json()) == letters
    np.testing.assert_array_equal(letters.encode(["爱我你"])[0] > 1, [[True, True, False]])


def test_a_codec_from_before_there_was_a_choice_reads_texts_as_keras_did():
    import keras

    texts = ["Don't STOP, new_york.", "É-é ПЕНСИЯ «a»", "a\u00a0b\tc", "3.14 (x)"]
    layer = keras.layers.TextVectorization(ragged=True)
    layer.adapt(np.array(texts, object))
    old = WordIds.from_json({"words": layer.get_vocabulary(include_special_tokens=False), "length": 9})
    ids = layer(np.array(texts, object))
    for i, row in enumerate(old.encode(texts)[0]):
        np.testing.assert_array_equal(row[row > 0], ids[i].numpy())
    with pytest.raises(ValueError, match="`tokens` must be"):
        WordIds.from_json(old.to_json() | {"tokens": "syllables"})
