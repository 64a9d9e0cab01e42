"""Tables as people have them: every cell as it was written, or a refusal with file, line, rule and cure."""

import csv
import gzip
import io
import json
import random

import numpy as np
import polars
import pytest

from kerasapps.data import csv_files
from kerasapps.data.labelled_texts import read_table
from kerasapps.data.numbers import parse_numbers
from kerasapps.data.prices import load_prices
from kerasapps.data.profiles import load_profiles
from kerasapps.data.tables import open_table
from kerasapps.errors import DataError

NAMES = ["id", "text", "a note", "number"]
PIECES = [
    '"',
    '""',
    "'",
    ",",
    ";",
    "\t",
    "|",
    "\n",
    "\r\n",
    "\\",
    '\\"',
    "é",
    "मीरा",
    "玛丽",
    "😀",
    "a",
    "word",
    " ",
    "NA",
]


def made(count: int, pieces=PIECES) -> list[list[str]]:
    rng = random.Random(count)
    cells = ["".join(rng.choices(pieces, k=rng.randrange(6))) for _ in range(2 * count)]
    numbers = ["NA", "", "3.10", "1,234", "02134", "null", "\\N", "?"]
    return [[str(i), *cells[2 * i : 2 * i + 2], rng.choice(numbers)] for i in range(count)]


def write(path, rows, *, encoding="utf-8", mark="", **dialect):
    text = io.StringIO(newline="")
    csv.writer(text, **dialect).writerows([NAMES, *rows])
    path.write_bytes((mark + text.getvalue()).encode(encoding))
    return path


def read(path) -> list[list[str]]:
    columns = open_table(str(path), embedded="nothing").columns(NAMES)
    return [[cell or "" for cell in row] for row in zip(*(c.to_list() for c in columns.values()), strict=True)]


@pytest.fixture(scope="module")
def many():
    return made(60_000)


ALL = {"quoting": csv.QUOTE_ALL}
ACCEPTED = {
    "Windows": {},
    "Unix, all in quotes": ALL | {"lineterminator": "\n"},
    "semicolons": {"delimiter": ";"},
    "tabs": {"delimiter": "\t"},
    "bars, byte order mark": {"delimiter": "|", "mark": "\ufeff"},
    "UTF-16": {"encoding": "utf-16"},
    "old Macs": ALL | {"lineterminator": "\r"},
    "Spark": ALL | {"doublequote": False, "escapechar": "\\"},
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_sixty_thousand_rows_are_what_was_written(tmp_path, many, name):
    assert read(write(tmp_path / "t.csv", many, **ACCEPTED[name])) == many


REFUSED = {
    "no quotes, escapes": {"quoting": csv.QUOTE_NONE, "escapechar": "\\"},
    "single quotes": {"quotechar": "'"},
    "escapes, few quotes": {"doublequote": False, "escapechar": "\\"},
}


@pytest.mark.parametrize("name", REFUSED)
def test_any_other_dialect_is_refused_with_its_line(tmp_path, many, name):
    with pytest.raises(DataError, match=r"t\.csv, line \d+: ") as refused:
        read(write(tmp_path / "t.csv", many, **REFUSED[name]))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("seed", range(30))
def test_small_tables_are_what_python_reads(tmp_path, seed):
    rng = random.Random(seed)
    dialect = {
        "delimiter": rng.choice(",;\t|"),
        "quoting": rng.choice([0, 1]),
        "lineterminator": rng.choice(["\n", "\r\n"]),
    }
    path = write(tmp_path / "t.csv", made(rng.randrange(1, 40)), **dialect)
    with path.open(newline="", encoding="utf-8") as file:
        assert [NAMES, *read(path)] == list(csv.reader(file, delimiter=dialect["delimiter"]))


def test_chunks_meet_anywhere(tmp_path, monkeypatch):
    rows = made(60)
    paths = [write(tmp_path / f"{i}.csv", rows, **(ALL if i else {})) for i in range(2)]
    for size in (7, 64, 101):
        monkeypatch.setattr(csv_files, "CHUNK", size)
        for path in paths:
            assert csv_files.scan(path, ",", 4) is not None
            assert read(path) == rows


# --- kinds of CSV

TWO = [["30", "exam pizza", "male"], ["41", "tea", "female"]]


def cells(path) -> list[tuple[str, ...]]:
    columns = open_table(str(path), embedded="nothing").columns(["age", "text", "sex"])
    return list(zip(*(column.to_list() for column in columns.values()), strict=True))


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ('30,"exam 12\\" pizza",male\n41,tea,f', [("30", 'exam 12" pizza', "male"), ("41", "tea", "f")]),
        ('30,"a \\"b\\", c",male\n41,"C:\\\\dir\\x",f', [("30", 'a "b", c', "male"), ("41", "C:\\dir\\x", "f")]),
        ('30,"\\"",m\n41,"x\\"",f', [("30", '"', "m"), ("41", 'x"', "f")]),
        ('41,12" pizza,male\n30,6"x4",f', [("41", '12" pizza', "male"), ("30", '6"x4"', "f")]),
        ('41,"C:\\",male\n30,tea,f', [("41", "C:\\", "male"), ("30", "tea", "f")]),
        ('30, "a, b", male\n41, tea, f', [("30", "a, b", "male"), ("41", "tea", "f")]),
        ("\n30,a,m\n\n\n41,b,f\n\n", [("30", "a", "m"), ("41", "b", "f")]),
        ("30,a,m\r41,b,f\r", [("30", "a", "m"), ("41", "b", "f")]),
        ("30,a,m\r\n41,b,f\n50,c,m", [("30", "a", "m"), ("41", "b", "f"), ("50", "c", "m")]),
        ('30,"a\nb",m\n41,"c\r\nd",f', [("30", "a\nb", "m"), ("41", "c\r\nd", "f")]),
    ],
)
def test_kinds_of_csv(tmp_path, content, rows):
    (tmp_path / "t.csv").write_bytes(
        f"age,text,sex\n{content}".replace("sex\n", "sex\r" if "m\r4" in content else "sex\n").encode()
    )
    assert cells(tmp_path / "t.csv") == rows


@pytest.mark.parametrize("every", [10, 50])
@pytest.mark.parametrize(
    ("odd", "text"),
    [
        ('"exam 12\\" pizza"', 'exam 12" pizza'),
        ('"12\\""', '12"'),
        ('"{\\"a\\": 1, \\"b\\": \\"c\\"}"', '{"a": 1, "b": "c"}'),
        ('"a\nb \\"c\\"\nd"', 'a\nb "c"\nd'),
        ('12" pizza', '12" pizza'),
        ("5'10\"", "5'10\""),
        ('a ""x"" b', 'a ""x"" b'),
    ],
)
def test_no_row_of_a_table_with_odd_quotes_is_lost(tmp_path, odd, text, every):
    lines = [f"{i},{odd if i % every == 1 else f'text {i}'},male" for i in range(400)]
    (tmp_path / "t.csv").write_text("\n".join(["age,text,sex", *lines]))
    expected = [(str(i), text if i % every == 1 else f"text {i}", "male") for i in range(400)]
    assert cells(tmp_path / "t.csv") == expected


@pytest.mark.parametrize("odd", ['"Great" movie', '""x""', '"never closed'])
def test_quotes_that_fit_no_grammar_are_refused_with_their_line(tmp_path, odd):
    lines = [f"{i},{odd if i == 21 else f'text {i}'},male" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["age,text,sex", *lines]))
    with pytest.raises(DataError, match=r"t\.csv, line 23: the quote of the cell"):
        cells(tmp_path / "t.csv")


def test_decimal_commas_among_semicolons(tmp_path):
    lines = [f"thing {i}, used;{i},5;1.{i:03},25" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["text;x;y", *lines]))
    table = read_table(str(tmp_path / "t.csv"), text="text", labels=("x", "y"), author=None)
    assert table.texts[3] == "thing 3, used"
    assert (table.labels["x"][3], table.labels["y"][3]) == (3.5, 1003.25)
    assert table.notes == ("40 rows; x: numbers (decimal commas), y: numbers (decimal commas).",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04\x14\0\x06\0\x08\0" + bytes(range(256)), "is an Excel workbook or a ZIP archive: open it and"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "is an old Excel workbook: open it and save its table"),
        (gzip.compress(b"age,text,sex\n30,a,m\n", mtime=0), "is compressed with gzip: unpack it."),
        (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3", "is a PDF: save its text as UTF-8."),
        (b"PAR1\x15\x04\x15" + bytes(range(256)), "is a Parquet file: name it so."),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "with `git lfs pull`."),
        (b"\n<!DOCTYPE html>\n<html>\n<p>a, b</p>\n", "is a web page: download the file itself"),
        (b"<HTML><head>a, b, c</head>", "is a web page: download the file itself"),
    ],
)
def test_files_of_another_kind_are_named_with_the_cure(tmp_path, content, said):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError) as refused:
        cells(tmp_path / "t.csv")
    assert said in str(refused.value)
    assert str(refused.value).isprintable()
    if b"git-lfs" in content:
        (tmp_path / "t.parquet").write_bytes(content)
        with pytest.raises(DataError, match="git lfs pull"):
            cells(tmp_path / "t.parquet")


def test_the_line_of_spreadsheets_that_names_the_separator(tmp_path):
    (tmp_path / "t.csv").write_text("sep=;\nage;text;sex\n30;a,b;m\n")
    assert cells(tmp_path / "t.csv") == [("30", "a,b", "m")]
    assert open_table(str(tmp_path / "t.csv"), embedded="nothing").where(0) == "line 3"


@pytest.mark.parametrize(
    ("content", "line", "rule"),
    [
        (b"30,a,m,x\n41,b,f", 2, "the row has 4 cells, the first row has 3"),
        (b"30,a,m\n41,b", 3, "the row has 2 cells, the first row has 3"),
        (b'30,"a\nb",m\n41,b', 4, "the row has 2 cells"),
        (b'30,a,m\n41,"b,f\n50,c,m', 3, "is never closed"),
        (b'30,"a" b,m\n', 2, "closes before the end of its cell"),
        (b"30,a\0b,m\n", 2, "a NUL character"),
        ("30,a,m\n41,пенсия,f".encode("cp1251"), 3, "the byte 0xef is not UTF-8 text. Save the file as UTF-8."),
        ("30,a,m\n41,玛丽在花园,f".encode("gbk"), 3, "is not UTF-8 text"),
        (("30,é,m\n" * 40 + "41,").encode() + b"\xff,f", 42, "the byte 0xff is not UTF-8 text"),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(tmp_path, content, line, rule):
    (tmp_path / "t.csv").write_bytes(b"age,text,sex\n" + content)
    with pytest.raises(DataError) as refused:
        cells(tmp_path / "t.csv")
    said = str(refused.value)
    assert said.startswith(f"{tmp_path / 't.csv'}, line {line}: ")
    assert rule in said
    assert said.isprintable()
    assert len(said) < 400


def test_windows_1252_is_read_and_said(tmp_path):
    (tmp_path / "t.csv").write_bytes("age,text,sex\n30,“café” in Köln,m\n".encode("cp1252"))
    table = open_table(str(tmp_path / "t.csv"), embedded="nothing")
    assert cells(tmp_path / "t.csv") == [("30", "“café” in Köln", "m")]
    assert table.notes[0].endswith("is read as Windows-1252.")


def test_at_most_ten_names_are_shown(tmp_path):
    names = [f"column{i}" for i in range(40)]
    (tmp_path / "t.csv").write_text(f"{','.join(names)}\n{','.join('1' * 40)}\n".replace("column7", "c\x1b[2J"))
    with pytest.raises(DataError) as refused:
        cells(tmp_path / "t.csv")
    assert "column9 and 30 more." in str(refused.value)
    assert str(refused.value).isprintable()
    (tmp_path / "t.csv").write_text("age,text,age,sex\n1,a,2,m\n")
    with pytest.raises(DataError, match="has 2 columns age"):
        cells(tmp_path / "t.csv")


# --- JSON


@pytest.mark.parametrize(
    "write_json",
    [
        lambda rows: "\ufeff" + "\n".join(map(json.dumps, rows)),
        lambda rows: json.dumps(rows),
        lambda rows: json.dumps(rows, indent=2),
        lambda rows: "\r\n\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
    ],
)
@pytest.mark.parametrize("ending", [".jsonl", ".json"])
def test_kinds_of_json(tmp_path, write_json, ending):
    rows = [{"text": "é\u2028x", "age": float("nan"), "on": True}, {"text": None, "age": 3.5, "zip": "02134"}]
    path = tmp_path / f"t{ending}"
    path.write_bytes(write_json(rows).encode())
    table = open_table(str(path), embedded="nothing")
    columns = {name: column.to_list() for name, column in table.columns(["text", "age", "on", "zip"]).items()}
    assert columns == {"text": ["é\u2028x", None], "age": ["NaN", "3.5"], "on": ["true", None], "zip": [None, "02134"]}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ('{"text": "a"}\n{"text": }\n', "line 2: not JSON"),
        ('{"text": "a"}\n\n[1]\n', "line 3: not an object"),
        ('[{"text": "a"},\n 3]', "entry 2: not an object"),
        ('[{"text": "a"},\n', "line 1: not JSON"),
        ("{", "line 1: not JSON"),
        ("{'text': 'a'}", "line 1: not JSON"),
        ('{"text": "a"},\n{"text": "b"}', "line 1: not JSON"),
        ('{"text": "a"}\n"text"', "line 2: not an object"),
    ],
)
def test_what_is_no_json_is_refused_with_its_line(tmp_path, content, place):
    (tmp_path / "t.jsonl").write_text(content)
    with pytest.raises(DataError) as refused:
        open_table(str(tmp_path / "t.jsonl"), embedded="nothing")
    assert f"t.jsonl, {place}" in str(refused.value)


# --- numbers


@pytest.mark.parametrize(
    ("written", "numbers", "style"),
    [
        (["1", " 2.5 ", "NA", "?", "null", "\\N", "unknown", "-", "#N/A"], [1, 2.5, *[None] * 7], ""),
        (["22,105", "950", "1,234,567.5"], [22105, 950, 1234567.5], "commas between thousands"),
        (["3,5", "1.234", "2,25"], [3.5, 1234, 2.25], "decimal commas"),
        (["1.234,56", "1.000.000"], [1234.56, 1e6], "decimal commas"),
        (["1\u202f234", "1 234,5"], [1234, 1234.5], "spaces between thousands, decimal commas"),
        (["1'234.5", "7"], [1234.5, 7], "spaces between thousands"),
        (["٢٢", "−5", "1e3"], [22, -5, 1000], ""),
        (["0,123", "1,5"], [0.123, 1.5], "decimal commas"),
        (["12,34,567", "1,23,456.5", "950"], [1234567, 123456.5, 950], "commas between thousands"),
        (["1’234", "2’000’000"], [1234, 2_000_000], "spaces between thousands"),
        (["١٬٢٣٤٫٥", "۱۲"], [1234.5, 12], ""),
        (["２，２００", "３．５", "－１"], [2200, 3.5, -1], ""),
        (["5", "#DIV/0!", "#VALUE!", "[null]", "<null>", "NaT"], [5, *[None] * 5], ""),
    ],
)
def test_numbers_as_people_write_them(written, numbers, style):
    found = parse_numbers(polars.Series("x", written))
    assert found.values.to_list() == numbers
    assert found.style == style
    assert not found.wrong.any()
    assert found.ambiguous is None
    assert found.missing == numbers.count(None)


@pytest.mark.parametrize("wrong", ["$5", "12,34,56", "1e999", "abc", "5 years", "1-2"])
def test_what_is_no_number(wrong):
    assert parse_numbers(polars.Series("x", ["1", wrong])).wrong.to_list() == [False, True]


def profile(path, labels, lines, header="text,x"):
    path.write_text("\n".join([header, *lines]), encoding="utf-8")
    return read_table(str(path), text="text", labels=labels, author=None)


@pytest.mark.parametrize("marker", ["NA", "?", "null", "\\N", "unknown", "NaN", "-", "#DIV/0!", "[null]"])
def test_a_column_of_numbers_with_markers_of_missing_values(tmp_path, marker):
    lines = [f"word {i},{marker if i % 10 == 0 else 20 + i % 50}" for i in range(400)]
    table = profile(tmp_path / "t.csv", ("x",), lines)
    assert table.kinds == {"x": "regression"}
    assert np.isnan(table.labels["x"]).sum() == 40
    assert table.notes == ("400 rows; x: numbers (40 missing).",)


def test_what_is_a_name_stays_as_it_is_written(tmp_path):
    for names in (
        ["3.1", "3.10", "3.9"],
        ["02134", "2134", "10001"],
        ["TRUE", "true", "False"],
        ["1e3", "1000", "+1"],
        ["007", "7", "7.0"],
    ):
        lines = [f"word {i},{names[i % 3]}" for i in range(60)]
        table = profile(tmp_path / "t.csv", ("x=classes",), lines)
        assert set(table.labels["x"]) == set(names)
        assert table.notes == ("60 rows; x: 3 classes.",)
    rows = [f"{10 + i},0{i % 5}134" for i in range(60)]
    (tmp_path / "p.csv").write_text("\n".join(["price,zip", *rows]))
    splits = load_prices(str(tmp_path / "p.csv"), categories=("zip",))
    assert splits.codec.categories["zip"] == tuple(f"0{i}134" for i in range(5))
    assert splits.codec.encode(categories={"zip": " 03134 "})["categories"] == [[4]]


def test_markers_among_classes(tmp_path):
    lines = [f"word {i},{('none', 'Na', '+', 'NA')[i % 4]}" for i in range(60)]
    table = profile(tmp_path / "t.csv", ("x",), lines)
    assert set(table.labels["x"]) == {"none", "Na", "+", None}
    assert table.notes == ("60 rows; x: 3 classes (15 missing: NA).",)


@pytest.mark.parametrize(
    ("odd", "said"),
    [("02134", "'02134'"), ("abc", "'abc'"), ("3.10", "'3.10'"), ("$5", "'$5'")],
)
def test_what_may_be_numbers_or_names_is_asked(tmp_path, odd, said):
    lines = [f"word {i},{odd if i == 7 else '3.1' if i == 8 else 100 + i}" for i in range(60)]
    with pytest.raises(DataError) as refused:
        profile(tmp_path / "t.csv", ("x",), lines)
    assert "t.csv, line 9: x holds numbers, and " + said in str(refused.value)
    assert "x=classes" in str(refused.value)


def test_an_ambiguous_comma_is_refused_with_its_line(tmp_path):
    lines = [f"word {i};{i + 100}" for i in range(30)] + ["a;22,105"]
    with pytest.raises(DataError, match=r"t\.csv, line 32: x is '22,105', with a comma for thousands or for decimals"):
        profile(tmp_path / "t.csv", ("x=regression",), lines, header="text;x")


def test_the_line_of_a_wrong_number_counts_lines_not_rows(tmp_path):
    lines = ['"two\nlines",3', "", ",5", "word,abc"]
    with pytest.raises(DataError, match=r"t\.csv, line 6: x is not a number in every row\. Received: 'abc'"):
        profile(tmp_path / "t.csv", ("x=regression",), lines)


@pytest.mark.parametrize(
    ("trained", "asked"),
    [
        ("пенсия внуки огород", "«ПЕНСИЯ», „ВНУКИ“ — огород"),
        ("cafe\u0301 zoë", "CAFÉ Zoe\u0308"),
        ("istanbul'da izmir", "İSTANBUL’DA İZMİR"),
        ("ａｂｃ ガス", "ABC ｶﾞｽ"),
        ("كتاب جميل", "كـتـاب، جميل؟"),
    ],
)
def test_descriptions_of_other_spellings_are_known_again(tmp_path, trained, asked):
    rows = [f"{10 + i},{trained if i % 2 else 'thing'}" for i in range(60)]
    (tmp_path / "p.csv").write_text("\n".join(["price,what", *rows]), encoding="utf-8")
    codec = load_prices(str(tmp_path / "p.csv"), text="what").codec
    assert (codec.encode(text=asked)["text"] > 1).all()


def test_texts_of_other_scripts_are_known_again(tmp_path):
    lines = [f"{('пенсия внуки огород', 'работа отпуск море')[i % 2]},{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["text,x", *lines]), encoding="utf-8")
    codec = load_profiles(str(tmp_path / "t.csv"), labels=("x",)).codec
    assert (codec.encode("«ПЕНСИЯ», „ВНУКИ“ — огород")["text"] > 1).all()
    chinese = [f"{('退休了照顾孙子', '上班放假去海边')[i % 2]},{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["text,x", *chinese]), encoding="utf-8")
    splits = load_profiles(str(tmp_path / "t.csv"), labels=("x",))
    assert splits.codec.words.tokens == "characters"
    assert any("no spaces" in note for note in splits.notes)
    assert (splits.codec.encode("孙子退休")["text"] > 1).all()
