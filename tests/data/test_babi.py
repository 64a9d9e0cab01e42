"""The bAbI format: what is read, what is refused and with which words, and where the files are looked for."""

import functools
import http.server
import io
import os
import re
import tarfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kerasapps.data import babi
from kerasapps.data.babi import (
    TASK_NAMES,
    find_babi,
    kind_of,
    marked_sentences,
    parse_stories,
    read_babi,
    read_file,
    read_story_files,
    tokenize,
)
from kerasapps.errors import DataError
from tests.hindi import SENTENCES, write_hindi

TEXT = """\
1 Mary went to the attic.
2 John has the key.
3 Where is Mary? \tAttic\t1
4 Mary took the key.
5 Where is the key?\tattic\t4 1
1 The hall is empty.
2 What is in the hall?\tapple,milk
"""


def parse(text):
    return parse_stories(text.splitlines(), kind="mine", source="mine.txt")


# --- words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Mary went to the attic.", "mary went to the attic"),
        ("Where is  the milk? ", "where is the milk"),
        ("Don't ask, 'Mary-Ann'!", "don't ask mary-ann"),
        ("It\u2019s 12 - no, 13 o'clock.", "it's 12 no 13 o'clock"),
        ("Cafe\u0301 caf\u00e9", "caf\u00e9 caf\u00e9"),
        ("new_york: -- ...", "new_york"),
        ("?!", ""),
    ],
)
def test_tokenize(text, words):
    assert tokenize(text) == tuple(words.split())


# --- what is read


def test_questions_see_what_was_told_before_them():
    first, second, third = parse(TEXT)
    assert first.story == (("mary", "went", "to", "the", "attic"), ("john", "has", "the", "key"))
    assert first.question == ("where", "is", "mary")
    assert first.text == ("Mary went to the attic.", "John has the key.")
    assert first.question_text == "Where is Mary?"
    assert len(second.story) == 3
    assert third.story == (("the", "hall", "is", "empty"),)


def test_answers_are_one_label_in_lower_case():
    assert [q.answer for q in parse(TEXT)] == ["attic", "attic", "apple,milk"]


def test_supports_count_sentences_only_and_may_be_missing():
    assert [q.supports for q in parse(TEXT)] == [(0,), (2, 0), ()]
    assert parse("1 A b.\n2 C?\td\t")[0].supports == ()


def test_stories_are_numbered_on_from_the_first():
    numbered = parse_stories(TEXT.splitlines(), kind="mine", source="mine.txt", first_id=7)
    assert [q.story_id for q in numbered] == [7, 7, 8]
    assert {q.kind for q in numbered} == {"mine"}


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("\n", "\r\n"),
        "\ufeff" + TEXT,
        TEXT + "\n \n\t\n",
        TEXT.replace("1 The", "\n1 The"),
        TEXT.rstrip("\n"),
    ],
    ids=["CRLF", "byte order mark", "blank lines at the end", "blank line between stories", "no last line end"],
)
def test_files_of_other_editors(tmp_path, text):
    (tmp_path / "mine.txt").write_bytes(text.encode())
    assert read_file(tmp_path / "mine.txt", kind="mine") == parse(TEXT)


def test_rare_line_separators_stay_inside_their_sentence(tmp_path):
    (tmp_path / "mine.txt").write_text(TEXT.replace("has the", "has\u2028the"), encoding="utf-8")
    assert [q.story for q in read_file(tmp_path / "mine.txt", kind="mine")] == [q.story for q in parse(TEXT)]


@pytest.mark.parametrize(
    "sentence",
    ["Pallavi bhedia hai ?.", "Did he go? Yes, he did.", "Who knows?", "Ποιος ξέρει;", "他走了？", "من يعرف؟ لا أحد."],
)
def test_a_sentence_may_hold_a_question_mark(sentence):
    (question,) = parse(f"1 Mary left.\n2 {sentence}\n3 Who left?\tmary\t1")
    assert question.text == ("Mary left.", sentence)
    assert marked_sentences([question]) == 1
    assert marked_sentences(parse(TEXT)) == 0


def test_tabs_around_a_line_are_no_answers():
    plain = parse("1 Mary left.\n2 Who left?\tmary\n")
    assert parse("1\tMary left.\t\n2 \tWho left?\tmary\t\n") == plain
    assert parse("\t1 Mary left.\n2\tWho left?\tmary\n") == plain


def test_line_ends_of_old_macs(tmp_path):
    (tmp_path / "mine.txt").write_bytes(TEXT.replace("\n", "\r").encode())
    assert read_file(tmp_path / "mine.txt", kind="mine") == parse(TEXT)


@pytest.mark.parametrize("folder", SENTENCES)
def test_the_hindi_folders_are_read_in_all_tasks(tmp_path, folder):
    write_hindi(tmp_path / folder)
    train, test = read_babi(tmp_path / folder)
    assert len(train) == len(test) == 80
    assert len({question.kind for question in train}) == 20
    assert len({question.story for question in train}) == 4
    assert len(read_story_files(tmp_path / folder)[0]) == 80


# --- what is refused


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        ("Mary left.\n2 Who?\tmary", 1, "must be its number"),
        ("1 Mary left.\n2", 2, "must be its number"),
        ("1 Mary left.\n" + "2" * 5000 + " Who?\tmary", 2, "must be its number"),
        ("2 Mary left.", 1, "must be 1, not 2"),
        ("0 Mary left.", 1, "must be 1, not 0"),
        ("1 Mary left.\n3 Who?\tmary", 2, "must be 2, or 1 for a new story, not 3"),
        ("1 Mary left.\n2 Who?\tmary\n2 Who?\tmary", 3, "must be 3, or 1 for a new story, not 2"),
        ("1 Mary left.\n2 Who?\t\t1", 2, "answer must not be empty"),
        ("1 Mary left.\n2 Who?\t", 2, "answer must not be empty"),
        ("1 Mary left.\n2 ?\tmary", 2, "a question must have a word"),
        ("1 Mary left.\n2 ...", 2, "a sentence must have a word"),
        ("1 Mary left.\n2 Who left?    mary    1", 2, "followed by a tab"),
        ("1 Mary left.\n2 Who left? mary", 2, "followed by a tab"),
        ("1 玛丽在厨房。\n2 玛丽在哪里？  厨房", 2, "followed by a tab"),
        ("1 玛丽在厨房。\n2 玛丽在哪里？厨房", 2, "followed by a tab"),
        ("1 مريم في المطبخ.\n2 أين مريم؟  المطبخ", 2, "followed by a tab"),
        ("1 Η Μαρία έφυγε.\n2 Πού είναι η Μαρία;  κουζίνα", 2, "followed by a tab"),
        ("1 Մարիամը գնաց։\n2 Ո՞ւր է Մարիամը  խոհանոց", 2, "followed by a tab"),
        ("1 ማርያም ሄደች።\n2 ማርያም የት ናት፧ ቤት", 2, "followed by a tab"),
        ("1 มาลีไปสวน\n2 มาลีอยู่ที่ไหน    สวน    1", 2, "followed by a tab"),
        ("1 มาลีไปสวน\n2 มาลีอยู่ที่ไหน\u00a0\u00a0\u00a0\u00a0สวน", 2, "followed by a tab"),
        ("1 メアリーはにわへいった。\n2 メアリーはどこですか。　にわ", 2, "followed by a tab"),
        ("1 Mary left.\n2 Who left?\\tmary\\t1", 2, "followed by a tab"),
        ("1 Mary left.\n2 Who left\u203d  mary", 2, "followed by a tab"),
        ("1 ꚠꚡ ꚢ.\n2 ꚠꚡ꛷ ꚢ", 2, "followed by a tab"),
        ("1 Who?\tmary", 1, "needs a sentence of its story before it"),
        ("1 Mary left.\n2 Who?\tmary\n1 Who?\tmary", 3, "needs a sentence of its story before it"),
        ("1 Mary left.\n2 Who?\tmary\t1\tx", 2, "at most two tabs"),
        ("1 Mary left.\n2 Who?\tmary\tone", 2, "line numbers with spaces"),
        ("1 Mary left.\n2 Who?\tmary\t1,1", 2, "line numbers with spaces"),
        ("1 Mary left.\n2 Who?\tmary\t" + "1" * 5000 + "x", 2, "line numbers with spaces"),
        ("1 Mary left.\n2 Who?\tmary\t\u0661", 2, "line numbers with spaces"),
        ("1 Mary left.\n2 Who?\tmary\t0", 2, "supporting fact 0 is not an earlier sentence"),
        ("1 Mary left.\n2 Who?\tmary\t2", 2, "supporting fact 2 is not an earlier sentence"),
        ("1 Mary left.\n2 Who?\tmary\t3\n3 John left.", 2, "supporting fact 3 is not an earlier sentence"),
        ("1 Mary left.\n2 Who?\tmary\n3 Who?\tmary\t2", 3, "supporting fact 2 is not an earlier sentence"),
    ],
)
def test_a_malformed_line_is_named(text, line, rule):
    started = time.perf_counter()
    with pytest.raises(DataError, match=re.escape(rule)) as error:
        parse(text)
    assert str(error.value).startswith(f"mine.txt, line {line}: ")
    shown = text.splitlines()[line - 1][:70]
    assert repr(shown)[1:-1] in str(error.value)
    assert len(str(error.value)) < 250
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("text", ["", "\n\n", "1 Mary left.\n2 John left."])
def test_a_file_without_a_question_is_refused(tmp_path, text):
    (tmp_path / "mine.txt").write_text(text)
    with pytest.raises(DataError, match=r"mine\.txt holds no question"):
        read_file(tmp_path / "mine.txt", kind="mine")


def test_another_encoding_is_refused_with_file_and_byte(tmp_path):
    (tmp_path / "mine.txt").write_bytes("1 Zo\u00eb left.\n2 Who?\tzo\u00eb\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"mine\.txt must be UTF-8 text, but byte 4 is 0xeb"):
        read_file(tmp_path / "mine.txt", kind="mine")


# --- files of one's own


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for stem, text in files.items():
        (folder / f"{stem}.txt").write_text(text, encoding="utf-8")
    return folder


def test_a_single_file_has_no_test_part(tmp_path):
    train, test = read_story_files(write(tmp_path, tales=TEXT) / "tales.txt")
    assert [q.kind for q in train] == ["tales"] * 3
    assert test == []


def test_a_folder_has_both_parts_of_every_kind_in_order(tmp_path):
    write(tmp_path, b_train=TEXT, b_test=TEXT, a_train=TEXT, a_test=TEXT, notes="nothing of ours")
    train, test = read_story_files(tmp_path)
    assert [q.kind for q in train] == [q.kind for q in test] == ["a"] * 3 + ["b"] * 3
    assert len({q.story_id for q in train + test}) == 8  # two stories a file


def test_a_folder_may_do_without_test_files(tmp_path):
    train, test = read_story_files(write(tmp_path, a_train=TEXT, b_train=TEXT))
    assert len(train) == 6
    assert test == []


def test_a_file_that_its_pair_lacks_is_named(tmp_path):
    with pytest.raises(DataError, match=r"has b_train\.txt, but b_test\.txt is missing"):
        read_story_files(write(tmp_path / "one", a_train=TEXT, a_test=TEXT, b_train=TEXT))
    with pytest.raises(DataError, match=r"has b_test\.txt, but b_train\.txt is missing"):
        read_story_files(write(tmp_path / "two", a_train=TEXT, a_test=TEXT, b_test=TEXT))


def test_a_folder_or_path_without_stories_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no file <kind>_train\.txt"):
        read_story_files(tmp_path)
    with pytest.raises(DataError, match=r"nowhere\.txt cannot be read"):
        read_story_files(tmp_path / "nowhere.txt")


def test_kinds_are_stems_without_the_part():
    assert kind_of("qa1_single-supporting-fact_train") == "qa1"
    assert kind_of("qa20_agents-motivations") == "qa20"
    assert kind_of("qa21_mine_test") == "qa21_mine"
    assert kind_of("train_rides_train") == "train_rides"


# --- bAbI: the folder


def small_archive_folder(folder, tasks=range(1, 21), count=1):
    lines = "".join("1 Mary left.\n2 Who left?\ttask{task}\t1\n" for _ in range(count))
    for task in tasks:
        slug = TASK_NAMES[task - 1].replace(" ", "-")
        write(folder, **{f"qa{task}_{slug}_{part}": lines.format(task=task) for part in ("train", "test")})
    return folder


def test_tasks_come_in_their_order_once(tmp_path):
    small_archive_folder(tmp_path)
    train, test = read_babi(tmp_path, [12, 2, 2])
    assert [(q.kind, q.answer) for q in train] == [("qa2", "task2"), ("qa12", "task12")]
    assert [q.kind for q in test] == ["qa2", "qa12"]
    assert len({q.story_id for q in train + test}) == 4
    assert len(read_babi(tmp_path)[0]) == 20


@pytest.mark.parametrize("tasks", [[0], [1, 21], [-1], []])
def test_a_number_that_is_no_task_is_refused(tmp_path, tasks):
    with pytest.raises(DataError, match=r"from 1 to 20.*" + re.escape(str(tasks))):
        read_babi(tmp_path, tasks)


def test_a_missing_task_file_is_named(tmp_path):
    small_archive_folder(tmp_path)
    (tmp_path / "qa3_three-supporting-facts_train.txt").unlink()
    with pytest.raises(DataError, match=r"task 3 .*qa3_three-supporting-facts_train\.txt is missing"):
        read_babi(tmp_path, [1, 3])
    assert read_babi(tmp_path, [1, 2])


# --- bAbI: where it is looked for


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Two empty places to look into, and no way out: an address at which nobody listens."""
    monkeypatch.setenv("KERASAPPS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(babi, "URL", "http://127.0.0.1:9/babi.tar.gz")
    return tmp_path / "data" / "babi", tmp_path / "cache" / "kerasapps" / "babi"


@pytest.mark.parametrize(("name", "inner"), [("babi", "en"), ("babi-10k", "en-10k")])
def test_data_folder_comes_before_cache(places, name, inner):
    data, cache = (place / babi.ROOT / inner for place in places)
    cache.mkdir(parents=True)
    assert find_babi(name) == cache
    data.mkdir(parents=True)
    assert find_babi(name) == data


def test_a_path_is_taken_as_it_is(tmp_path):
    write(tmp_path, tales=TEXT)
    assert find_babi(str(tmp_path / "tales.txt")) == tmp_path / "tales.txt"
    assert find_babi(str(tmp_path)) == tmp_path
    with pytest.raises(DataError, match=r"babi-11k is neither a data set \(stories, babi, babi-10k\)"):
        find_babi("babi-11k")


def needs_progress_bar():
    pytest.importorskip("tqdm", reason="pooch draws its progress bar with tqdm")


def test_off_line_the_message_says_what_to_do(places):
    needs_progress_bar()
    with pytest.raises(DataError) as error:
        find_babi("babi")
    message = str(error.value)
    for part in ("bAbI is not on this machine", babi.URL, "KERASAPPS_DATA=DIR", "`--data stories`"):
        assert part in message
    assert "\n" not in message
    assert list(places[1].iterdir()) == []


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves `tmp_path/web`, and lets the loader look for its archive there."""
    (tmp_path / "web").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        monkeypatch.setattr(babi, "URL", f"http://127.0.0.1:{web.server_port}/babi.tar.gz")
        monkeypatch.setattr(babi, "QUESTIONS", dict.fromkeys(babi.QUESTIONS, 3))
        yield tmp_path / "web" / "babi.tar.gz"
        web.shutdown()
        thread.join()


def pack(folder, archive):
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=babi.ROOT)


def make_archive(tmp_path, archive, *, count=3):
    for inner in ("en", "en-10k"):
        small_archive_folder(tmp_path / "official" / inner, count=count)
    pack(tmp_path / "official", archive)


def test_download_once_into_the_cache(places, server, tmp_path):
    needs_progress_bar()
    make_archive(tmp_path, server)
    folder = find_babi("babi-10k")
    assert folder == places[1] / babi.ROOT / "en-10k"
    assert len(read_babi(folder, [7])[0]) == 3
    assert os.listdir(places[1]) == [babi.ROOT]
    server.unlink()
    assert find_babi("babi") == places[1] / babi.ROOT / "en"


def test_an_archive_with_other_counts_never_enters_the_cache(places, server, tmp_path):
    needs_progress_bar()
    make_archive(tmp_path, server, count=2)
    with pytest.raises(DataError, match=r"not the official one: qa1_.* has 2 questions"):
        find_babi("babi")
    assert list(places[1].iterdir()) == []


def test_an_archive_that_is_no_archive_never_enters_the_cache(places, server, tmp_path):
    needs_progress_bar()
    make_archive(tmp_path, server)
    whole = server.read_bytes()
    for damaged in (b"<html>Not here any more</html>", whole[: len(whole) // 2], whole[:500] + whole[600:]):
        server.write_bytes(damaged)
        # Damage in the middle may look like an early end: then files are missing from what could be unpacked.
        with pytest.raises(DataError, match=r"is damaged|not the official one: qa\d+_.* has 0 questions"):
            find_babi("babi")
        assert list(places[1].iterdir()) == []


def test_an_archive_cannot_write_elsewhere(places, server, tmp_path):
    needs_progress_bar()
    with tarfile.open(server, "w:gz") as tar:
        member = tarfile.TarInfo("../../../escaped.txt")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match="is damaged, or not an archive"):
        find_babi("babi")
    assert not list(tmp_path.rglob("escaped.txt"))


def test_a_cache_that_cannot_be_written_is_named(places, server, tmp_path):
    needs_progress_bar()
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"bAbI cannot be stored in .*cache/kerasapps/babi"):
        find_babi("babi")


# --- the real files


def real_folder(inner):
    folder = Path(os.environ.get("KERASAPPS_DATA", "")) / "babi" / babi.ROOT / inner
    if not os.environ.get("KERASAPPS_DATA") or not folder.is_dir():
        pytest.skip("$KERASAPPS_DATA has no bAbI")
    return folder


@pytest.fixture(scope="module")
def real():
    return read_babi(real_folder("en"))


@pytest.mark.real_data
def test_real_tasks_have_a_thousand_questions_each(real):
    for part in real:
        assert [q.kind for q in part] == [f"qa{task}" for task in range(1, 21) for _ in range(1000)]


@pytest.mark.real_data
def test_real_supports_name_sentences(real):
    for part in real:
        for q in part:
            assert q.supports
            assert all(0 <= i < len(q.story) for i in q.supports)
            assert len(set(q.supports)) == len(q.supports)


@pytest.mark.real_data
def test_real_stories_do_not_share_a_number(real):
    kinds: dict[int, set] = {}
    for name, part in zip(("train", "test"), real, strict=True):
        for q in part:
            kinds.setdefault(q.story_id, set()).add((name, q.kind))
    assert all(len(where) == 1 for where in kinds.values())
    # Task 1 asks five questions of every story.
    assert len({q.story_id for q in real[0] if q.kind == "qa1"}) == 200


@pytest.mark.real_data
def test_real_lines_that_are_known(real):
    test = {kind: [q for q in real[1] if q.kind == kind] for kind in ("qa1", "qa8", "qa15", "qa19")}
    first, second = test["qa1"][:2]
    assert first.text == ("John travelled to the hallway.", "Mary journeyed to the bathroom.")
    assert (first.question_text, first.question) == ("Where is John?", ("where", "is", "john"))
    assert (first.answer, first.supports) == ("hallway", (0,))
    assert len(second.story) == 4
    assert (second.answer, second.supports) == ("bathroom", (1,))
    # `8 Sandra journeyed to the kitchen.` is the sixth sentence, as lines 3 and 6 are questions.
    assert (test["qa1"][2].answer, test["qa1"][2].supports) == ("kitchen", (5,))
    assert (test["qa15"][0].answer, test["qa15"][0].supports) == ("wolf", (6, 4))
    assert (test["qa19"][0].answer, test["qa19"][0].supports) == ("s,s", (3, 1))
    assert "milk,football" in {q.answer for q in test["qa8"]}


@pytest.mark.real_data
def test_real_answers_of_task_one_are_in_their_supports(real):
    for q in (q for part in real for q in part if q.kind == "qa1"):
        (fact,) = q.supports
        assert q.answer in q.story[fact]
        assert q.question[-1] in q.story[fact]


@pytest.mark.real_data
def test_real_folder_reads_by_path_too(real):
    train, test = read_story_files(real_folder("en"))
    # The files come in the order of their names, and so the stories have other numbers.
    for by_path, by_task in zip((train, test), real, strict=True):
        assert {replace(q, story_id=0) for q in by_path} == {replace(q, story_id=0) for q in by_task}
        assert len(by_path) == len(by_task)


@pytest.mark.real_data
def test_real_ten_thousand_questions():
    folder = real_folder("en-10k")
    train, test = read_babi(folder, [1])
    assert (len(train), len(test)) == (10_000, 1_000)
