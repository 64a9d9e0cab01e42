"""Numbers as people write them: with markers of missing values, thousands separators, decimal commas, any digits."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # takes a while to import, and most experiments read no tables
    import polars

# What programs write where there is no value, spelled as they do: "Na" and "Null" are names of people.
MARKERS = ("NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-nan", "NULL", "null", "(null)", "\\N", "?")
MARKERS += ("[null]", "[NULL]", "<null>", "<NULL>", "NaT", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!")
MARKERS += ("unknown", "Unknown", "UNKNOWN", "missing", "Missing", "MISSING")
# Among numbers these too, in upper or lower case. As classes "none" and "-" have a meaning.
NO_NUMBERS = {marker.casefold() for marker in MARKERS} | {"none", "nil", "n.a.", "undefined", ".", "-", "--", "–", "—"}
NO_NUMBERS |= {"inf", "+inf", "-inf", "infinity", "-infinity"}

SPACES = " \xa0\u2009\u202f'\u2019"  # between groups of three digits
OTHER_SIGNS = str.maketrans("−٫٬，．－＋", "-.,,.-+")
# Separator of thousands, decimal sign, and how a person calls that.
STYLES = (
    (",", ".", "commas between thousands"),
    (".", ",", "decimal commas"),
    (f"[{SPACES}]", ".", "spaces between thousands"),
    (f"[{SPACES}]", ",", "spaces between thousands, decimal commas"),
)


@dataclass(frozen=True)
class Numbers:
    """A column read as numbers.

    Args:
        values: Float64, null where there is none.
        wrong: Bool: what is there and is no number.
        missing: How many cells hold nothing, or a marker of it.
        style: How they were written, if not plainly.
        ambiguous: A value that is one number or another, depending on what its comma means; None if there is none.
    """

    values: "polars.Series"
    wrong: "polars.Series"
    missing: int
    style: str = ""
    ambiguous: str | None = None

    @property
    def are_all(self) -> bool:
        """Whether the column holds numbers, and nothing else."""
        return bool(self.values.count()) and not self.wrong.any() and self.ambiguous is None


def parse_numbers(column: "polars.Series", *, commas_are_decimal: bool = False) -> Numbers:
    """Reads text as numbers.

    Args:
        column: Text, null where it is missing.
        commas_are_decimal: Whether a file is of a kind whose commas are likely decimal, so that "22,105" is ambiguous.
    """
    import polars

    text = column.str.strip_chars()
    text = text.set(text.str.to_lowercase().is_in(list(NO_NUMBERS)) | (text == ""), None)
    missing = text.null_count()
    values = text.cast(polars.Float64, strict=False)
    values = values.set(~values.is_finite(), None)
    odd = text.filter(values.is_null() & text.is_not_null()).unique().to_list()
    if not odd:
        return Numbers(values, polars.Series([False], dtype=polars.Boolean).new_from_index(0, len(text)), missing)
    dotted = text.filter(values.is_not_null() & text.str.contains(".", literal=True)).unique().to_list()
    fits = [(_read(odd, style), _read(dotted, style)) for style in STYLES]
    best = max(range(len(STYLES)), key=lambda i: (len(fits[i][0]), len(fits[i][1])))
    read = fits[best][0] | (fits[best][1] if best else {})
    both = len(fits[0][0]) == len(fits[1][0]) > 0 and len(fits[0][1]) == len(fits[1][1])
    ambiguous = min(fits[0][0]) if both and best == 0 and (commas_are_decimal or dotted) else None
    if read:
        respelled = text.replace_strict(list(read), list(read.values()), default=None, return_dtype=polars.Float64)
        plain = values.set(text.is_in(dotted), None) if best else values
        values = respelled.zip_with(respelled.is_not_null(), plain)
    styled = any(re.search(f"[,{SPACES}]", value) or value.count(".") > 1 for value in fits[best][0])
    style = STYLES[best][2] if styled else ""
    return Numbers(values, values.is_null() & text.is_not_null(), missing, style, ambiguous)


def _read(values: Iterable[str], style: tuple[str, str, str]) -> dict[str, float]:
    """Returns those values that are numbers in a style."""
    thousands, decimal, _ = style
    thousands = thousands if len(thousands) > 1 else re.escape(thousands)
    grouped = rf"[1-9]\d{{0,2}}(?:{thousands}\d{{3}})+"
    if thousands == ",":
        grouped = rf"(?:{grouped}|[1-9]\d?(?:,\d\d)+,\d{{3}})"  # 12,34,567 in India
    pattern = re.compile(rf"([+-]?)({grouped}|\d+)?(?:{re.escape(decimal)}(\d*))?((?:[eE][+-]?\d{{1,3}})?)")
    read = {}
    for value in values:
        plain = "".join(str(unicodedata.decimal(sign, sign)) for sign in value.translate(OTHER_SIGNS))
        match = pattern.fullmatch(plain)
        if match and (match[2] or match[3]):
            number = float(f"{match[1]}{re.sub(thousands, '', match[2] or '0')}.{match[3] or 0}{match[4]}")
            if abs(number) < float("inf"):
                read[value] = number
    return read
