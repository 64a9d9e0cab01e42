"""A pair of languages with a small grammar: the data set of translation that needs no download.

English sentences about a market, and the one right German translation of each. A sentence has, in this order:

1. Maybe a date: "on the third of march". German: "am dritten März"; the verb then comes before the subject.
2. A subject, perhaps with an adjective: "the old farmer". German articles agree with the gender of the noun, which
   English does not show: "der alte Bauer", "die alte Frau", "das alte Kind".
3. A tense: "has sold" or "will sell". German puts the second part at the end: "hat ... verkauft", "wird ... verkaufen".
4. A number up to 999 in words, maybe an adjective, a plural: "two hundred and forty one red apples". German says the
   ones before the tens, as one word: "zweihunderteinundvierzig rote Äpfel". After one, noun, article and adjective are
   singular and agree in the accusative: "einen roten Apfel", "eine rote Birne", "ein rotes Brot".
5. Maybe a receiver: "to the young teacher". German has it in the dative, and before what is sold: "dem jungen Lehrer",
   "der jungen Lehrerin".
6. Maybe a price: "for twelve euros", "für zwölf Euro".

Every English word has one German form in its place, so that a translation is right or wrong.
"""

from collections.abc import Sequence

import numpy as np

# Noun: German singular, plural, gender.
PEOPLE = {
    "farmer": ("Bauer", "m"),  # the only one of them that changes in the dative
    "man": ("Mann", "m"),
    "teacher": ("Lehrer", "m"),
    "baker": ("Bäcker", "m"),
    "doctor": ("Arzt", "m"),
    "woman": ("Frau", "f"),
    "aunt": ("Tante", "f"),
    "neighbor": ("Nachbarin", "f"),
    "queen": ("Königin", "f"),
    "child": ("Kind", "n"),
    "girl": ("Mädchen", "n"),
}
GOODS = {
    "apple": ("apples", "Apfel", "Äpfel", "m"),
    "fish": ("fish", "Fisch", "Fische", "m"),
    "chair": ("chairs", "Stuhl", "Stühle", "m"),
    "hat": ("hats", "Hut", "Hüte", "m"),
    "pear": ("pears", "Birne", "Birnen", "f"),
    "flower": ("flowers", "Blume", "Blumen", "f"),
    "lamp": ("lamps", "Lampe", "Lampen", "f"),
    "bread": ("breads", "Brot", "Brote", "n"),
    "book": ("books", "Buch", "Bücher", "n"),
    "egg": ("eggs", "Ei", "Eier", "n"),
}
OF_PEOPLE = {"old": "alt", "young": "jung", "small": "klein", "friendly": "freundlich", "tired": "müde"}
OF_GOODS = {"red": "rot", "green": "grün", "big": "groß", "small": "klein", "fresh": "frisch", "beautiful": "schön"}
# Infinitive: English participle, German infinitive and participle.
VERBS = {
    "sell": ("sold", "verkaufen", "verkauft"),
    "give": ("given", "geben", "gegeben"),
    "show": ("shown", "zeigen", "gezeigt"),
    "bring": ("brought", "bringen", "gebracht"),
    "send": ("sent", "schicken", "geschickt"),
}
MONTHS = {
    "january": "Januar",
    "february": "Februar",
    "march": "März",
    "april": "April",
    "may": "Mai",
    "june": "Juni",
    "july": "Juli",
    "august": "August",
    "september": "September",
    "october": "Oktober",
    "november": "November",
    "december": "Dezember",
}
ARTICLES = {"m": ("der", "dem"), "f": ("die", "der"), "n": ("das", "dem")}  # nominative, dative
ONE = {"m": ("einen", "en"), "f": ("eine", "e"), "n": ("ein", "es")}  # accusative, with the end of an adjective

ENGLISH_ONES = tuple(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "  # noqa: SIM905
    "seventeen eighteen nineteen".split()
)
ENGLISH_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
GERMAN_ONES = tuple(
    "null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn "  # noqa: SIM905
    "siebzehn achtzehn neunzehn".split()
)
GERMAN_TENS = ("zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig")
ENGLISH_ORDINALS = {1: "first", 2: "second", 3: "third", 5: "fifth", 8: "eighth", 9: "ninth", 12: "twelfth"}
GERMAN_ORDINALS = {1: "erst", 3: "dritt", 7: "siebt", 8: "acht"}


def write_market(count: int, *, seed: int) -> list[tuple[str, str]]:
    """Writes pairs of an English and a German sentence, no English one twice; a smaller count gives the first ones."""
    rng = np.random.default_rng(seed)
    pairs: dict[str, str] = {}
    while len(pairs) < count:
        english, german = _pair(rng)
        pairs[english] = german
    return list(pairs.items())


def english_number(number: int) -> str:
    """Returns a number from 1 to 999 in words: "two hundred and forty one"."""
    hundreds, rest = divmod(number, 100)
    words = [] if not hundreds else [ENGLISH_ONES[hundreds], "hundred"]
    if hundreds and rest:
        words.append("and")
    if rest >= 20:
        words.append(ENGLISH_TENS[rest // 10 - 2])
        rest %= 10
    return " ".join([*words, *([ENGLISH_ONES[rest]] if rest else [])])


def german_number(number: int) -> str:
    """Returns a number from 1 to 999 as it stands before a noun or at the end: "zweihunderteinundvierzig"."""
    hundreds, rest = divmod(number, 100)
    word = f"{GERMAN_ONES[hundreds]}hundert" if hundreds else ""
    if rest < 20:
        # Only the last part of a number is "eins".
        return word + ("eins" if rest == 1 else GERMAN_ONES[rest] if rest else "")
    tens, ones = divmod(rest, 10)
    return word + (f"{GERMAN_ONES[ones]}und" if ones else "") + GERMAN_TENS[tens - 2]


def _pair(rng: np.random.Generator) -> tuple[str, str]:
    """Draws a sentence and translates it."""
    english_subject, german_subject = _person(rng, dative=False)
    infinitive = _pick(rng, tuple(VERBS))
    participle, german_infinitive, german_participle = VERBS[infinitive]
    english_goods, german_goods = _goods(rng)
    if rng.random() < 0.5:
        english_verb, german_verb, german_end = f"has {participle}", "hat", german_participle
    else:
        english_verb, german_verb, german_end = f"will {infinitive}", "wird", german_infinitive
    english, german = [english_verb, english_goods], [german_goods]
    if rng.random() < 0.5:
        english_receiver, german_receiver = _person(rng, dative=True)
        english.append(f"to {english_receiver}")
        german.insert(0, german_receiver)
    if rng.random() < 0.5:
        price = int(rng.integers(2, 1000))
        english.append(f"for {english_number(price)} euros")
        german.append(f"für {german_number(price)} Euro")
    if rng.random() < 0.5:
        day, month = int(rng.integers(1, 29)), _pick(rng, tuple(MONTHS))
        english = [f"on the {_english_ordinal(day)} of {month}", english_subject, *english]
        german = [f"am {_german_ordinal(day)} {MONTHS[month]}", german_verb, german_subject, *german]
    else:
        english, german = [english_subject, *english], [german_subject, german_verb, *german]
    return _sentence(english), _sentence([*german, german_end])


def _person(rng: np.random.Generator, *, dative: bool) -> tuple[str, str]:
    """Draws someone: "the old farmer", "der alte Bauer"."""
    noun = _pick(rng, tuple(PEOPLE))
    german, gender = PEOPLE[noun]
    german += "n" if dative and german == "Bauer" else ""
    article = ARTICLES[gender][dative]
    if rng.random() < 0.5:
        return f"the {noun}", f"{article} {german}"
    adjective = _pick(rng, tuple(OF_PEOPLE))
    stem = OF_PEOPLE[adjective].removesuffix("e")
    return f"the {adjective} {noun}", f"{article} {stem}{'en' if dative else 'e'} {german}"


def _goods(rng: np.random.Generator) -> tuple[str, str]:
    """Draws what is sold: "two red apples", "zwei rote Äpfel"."""
    noun = _pick(rng, tuple(GOODS))
    plural, german, german_plural, gender = GOODS[noun]
    number = 1 if rng.random() < 0.25 else int(rng.integers(2, 1000))
    adjective = _pick(rng, tuple(OF_GOODS)) if rng.random() < 0.6 else ""
    described = f"{adjective} " if adjective else ""
    if number == 1:
        article, end = ONE[gender]
        german_described = f"{OF_GOODS[adjective]}{end} " if adjective else ""
        return f"one {described}{noun}", f"{article} {german_described}{german}"
    german_described = f"{OF_GOODS[adjective]}e " if adjective else ""
    return f"{english_number(number)} {described}{plural}", f"{german_number(number)} {german_described}{german_plural}"


def _english_ordinal(number: int) -> str:
    """Returns "third", "twenty first"."""
    if number in ENGLISH_ORDINALS:
        return ENGLISH_ORDINALS[number]
    if number < 20:
        return f"{ENGLISH_ONES[number]}th"
    return f"twenty {_english_ordinal(number % 10)}" if number % 10 else "twentieth"


def _german_ordinal(number: int) -> str:
    """Returns "dritten", "einundzwanzigsten"."""
    if number < 20:
        return f"{GERMAN_ORDINALS.get(number, f'{GERMAN_ONES[number]}t')}en"
    return f"{german_number(number)}sten"


def _sentence(parts: Sequence[str]) -> str:
    text = " ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]
