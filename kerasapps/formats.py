"""Numbers and names of metrics as people read them, alike in the terminal and in reports."""

import math

# Words of a metric's name that say that it is a share in [0, 1], which is shown in percent.
SHARES = {"accuracy", "exact", "f1", "precision", "recall", "share"}
# Words that say that it is neither a share nor a time, whatever else it is named after: a label may be called "share".
DISTANCES = {"mae", "loss", "error"}
# What a word of a metric's name is called.
WORDS = {
    "frechet": "Fréchet",
    "mae": "mean absolute error",
    "f1": "F1",
    "bleu": "BLEU",
    "chrf": "chrF",
    "top5": "top-5",
    "val": "validation",
    "mib": "",
    "seconds": "time",
    "baseline": "(baseline)",
    "reference": "(best possible)",
    "floor": "(training images)",
    "filtering": "(best possible in one direction)",
    "elbo": "ELBO",
    "cider": "CIDEr",
    "auc": "AUC",
    "pca": "(principal components)",
    "l1": "L1",
    "l2": "L2",
    "relu": "ReLU",
}


def label_of(name: str) -> str:
    """Returns a metric's name for people: "val_frechet_distance" is "validation Fréchet distance"."""
    if name.startswith("inception_"):
        return "Inception " + name.removeprefix("inception_").upper()
    return " ".join(WORDS.get(word, word) for word in name.split("_")).strip()


def format_number(value: str | float | None, digits: int = 3) -> str:
    """Returns a number with so many digits after the point, text unchanged, and None as a dash."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if float(value).is_integer() and abs(value) < 1e15 and not isinstance(value, float):
        return f"{value:,}"
    return f"{value:,.{digits}f}"


def format_metric(name: str, value: float | None) -> str:
    """Returns a metric with its unit: a share in percent, a time in minutes, a count whole, else three digits.

    Example:
        >>> format_metric("accuracy", 0.98312), format_metric("seconds", 86.2), format_metric("loss", 0.123456)
        ('98.3 %', '1 min 26 s', '0.123')
    """
    if value is None:
        return format_number(None)
    words = set(name.split("_"))
    if "percent" in words:
        return f"{value:.1f} %"
    if is_share(name) and 0 <= value <= 1:
        return format_share(value)
    if "seconds" in words and not words & DISTANCES:
        return format_duration(value)
    if "mib" in words:
        return f"{value / 1024:.1f} GiB" if value >= 1024 else f"{value:.0f} MiB"
    if float(value).is_integer() or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")


def is_share(name: str) -> bool:
    """Tells whether a metric is a share in [0, 1], to be shown in percent."""
    words = set(name.split("_"))
    return bool(words & SHARES) and not words & DISTANCES


def format_share(share: float, digits: int = 1) -> str:
    """Returns a share as 98.3 %; only all is 100 % and only nothing 0 %, except without digits after the point."""
    percent = 100 * share
    if percent in (0, 100):
        return f"{percent:.0f} %"
    text = f"{percent:.{digits}f}"
    return f"{min(max(percent, 0.01), 99.99):.2f} %" if digits and float(text) in (0, 100) else f"{text} %"


def format_duration(seconds: float | None) -> str:
    """Returns a time as 0.4 s, 26 s, 1 min 26 s or 2 h 5 min; None as a dash."""
    if seconds is None or not math.isfinite(seconds):
        return format_number(None)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
