"""Things with a price as splits: simulated garments, or your own table with a folder of images."""

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasapps.data.augmentation import picture_augment
from kerasapps.data.garments import simulate_garments
from kerasapps.data.pictures import Range, Seen, left_out, one_range, read_picture, read_values, to_bytes
from kerasapps.data.splits import Augment, Split, Splits, split_groups
from kerasapps.data.tables import as_floats, open_table, read_names, read_numbers, said_of, some, summary
from kerasapps.data.words import GivenTokens, Tokens, WordIds, composed, fit_words, settle_tokens
from kerasapps.errors import DataError

GARMENTS = 16_000
PARTS = ("train", "validation", "test")
BRANCHES = ("metadata", "text", "image")
# Training images are mirrored and shifted by up to this share of their side: neither affects the price.
SHIFT = 0.05
LEFT_OUT = 0.03  # share of each number, category, description and image in training
LENGTH = 500  # maximum words of a description
MOST_BROKEN = 0.05  # share of the images
NOTHING: Mapping[str, Any] = types.MappingProxyType({})
INPUTS = {"metadata": ("numbers", "categories"), "text": ("text",), "image": ("image", "has_image")}


@dataclass(frozen=True)
class Things:
    """Things on offer, as they are stored.

    Args:
        numbers: float64 (n,) a column, NaN where unknown.
        categories: Text (n,) a column, empty where unknown.
        texts: Descriptions, empty where there is none; None where nothing has one.
        images: uint8 (n, H, W, 3); None where nothing has one.
        has_image: Whether there is an image, bool (n,).
        log_price: float64 (n,).
        best: The best possible estimates of the logarithm of the price, where known.
        notes: What to know about the data, a sentence each.
        values: Which values of images of more than 8 bits became 0 and 255; None where there are none.
    """

    numbers: dict[str, np.ndarray]
    categories: dict[str, np.ndarray]
    texts: np.ndarray | None
    images: np.ndarray | None
    has_image: np.ndarray
    log_price: np.ndarray
    best: np.ndarray | None
    notes: tuple[str, ...]
    values: Range | None = None

    def take(self, rows: np.ndarray) -> "Things":
        """Returns these rows, in their order."""

        def some(values):
            return None if values is None else values[rows]

        return Things(
            {name: values[rows] for name, values in self.numbers.items()},
            {name: values[rows] for name, values in self.categories.items()},
            some(self.texts),
            some(self.images),
            self.has_image[rows],
            self.log_price[rows],
            some(self.best),
            self.notes,
            self.values,
        )


@dataclass(frozen=True)
class PriceCodec:
    """Turns things into arrays; fitted to a training set.

    Args:
        numbers: Mean and standard deviation of each column of numbers.
        categories: Values of each column of categories, by number from 1 on; 0 is any other.
        words: Words of the descriptions; None where there are none.
        image_shape: Height, width and channels of the images; None where there are none.
        price: Mean and standard deviation of the logarithm of the price.
        values: Which values of images of more than 8 bits become 0 and 255; None where it was trained on none.
    """

    numbers: dict[str, tuple[float, float]]
    categories: dict[str, tuple[str, ...]]
    words: WordIds | None
    image_shape: tuple[int, int, int] | None
    price: tuple[float, float]
    values: Range | None = None

    @property
    def sizes(self) -> dict:
        """Arguments of the builder."""
        return {
            "numbers": tuple(self.numbers.values()),
            "category_sizes": tuple(len(values) + 1 for values in self.categories.values()),
            "vocab_size": None if self.words is None else self.words.size,
            "image_shape": self.image_shape,
            "price_mean": self.price[0],
            "price_scale": self.price[1],
        }

    @cached_property
    def _lookups(self) -> dict[str, keras.layers.StringLookup]:
        return {name: keras.layers.StringLookup(vocabulary=list(values)) for name, values in self.categories.items()}

    def encode(
        self,
        *,
        numbers: Mapping[str, float] = NOTHING,
        categories: Mapping[str, str] = NOTHING,
        text: str | None = None,
        image: Path | None = None,
    ) -> dict[str, np.ndarray]:
        """Returns the inputs of a model for one thing, from as much of it as is known.

        Args:
            numbers: Column to number.
            categories: Column to category.
            text: The description.
            image: An image file.

        Raises:
            DataError: If the image cannot be read.
        """
        height, width, channels = self.image_shape or (1, 1, 3)
        images = np.zeros((1, height, width, channels), np.uint8)
        if image:
            images[0] = read_picture(image, size=height, channels=channels, values=self.values)
        thing = Things(
            {name: np.array([numbers.get(name, np.nan)]) for name in self.numbers},
            {name: np.array([composed(categories.get(name, "").strip())], object) for name in self.categories},
            np.array([text or ""], object),
            images,
            np.array([image is not None]),
            np.zeros(1),
            None,
            (),
        )
        inputs, _ = next(iter(self.split(thing).batches(1)))
        return {name: values.numpy() for name, values in inputs.items()}

    def decode(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the estimated price of each row, float32 (n,)."""
        return np.exp(outputs["log_price"][:, 0])

    def outputs(self) -> dict[str, int | None]:
        """Returns the width of each output."""
        return {"log_price": 1}

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs."""
        content = {name: getattr(self, name) for name in ("numbers", "categories", "image_shape", "price")}
        content |= {} if self.values is None else {"values": self.values}
        return content | ({} if self.words is None else self.words.to_json())

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "PriceCodec":
        """Returns the codec that `to_json` described."""
        return cls(
            {name: tuple(scale) for name, scale in content["numbers"].items()},
            {name: tuple(values) for name, values in content["categories"].items()},
            WordIds.from_json(content) if "words" in content else None,
            None if content["image_shape"] is None else tuple(content["image_shape"]),
            tuple(content["price"]),
            tuple(content["values"]) if content.get("values") else None,  # older runs have none
        )

    def split(self, things: Things) -> Split:
        """Returns rows: an input for each branch, and the target "log_price"."""
        inputs, lengths = {}, {}
        if self.numbers:
            # An unknown number becomes the mean, which is 0 once standardized.
            columns = [
                np.where(np.isfinite(things.numbers[name]), things.numbers[name], mean)
                for name, (mean, _) in self.numbers.items()
            ]
            inputs["numbers"] = np.stack(columns, 1).astype(np.float32)
        if self.categories:
            columns = [lookup(list(things.categories[name])).numpy() for name, lookup in self._lookups.items()]
            inputs["categories"] = np.stack(columns, 1).astype(np.int32)
        if self.words is not None:
            inputs["text"], lengths["text"] = self.words.encode(things.texts)
        prepare = None
        if self.image_shape is not None:
            inputs |= {"image": things.images, "has_image": things.has_image}
            prepare = hide_missing
        targets = {"log_price": things.log_price.astype(np.float32)}
        return Split(inputs, targets, lengths=lengths, prepare=prepare)

    def augmentation(self) -> Augment:
        """Returns the augmentation of training rows: images are shifted, and a share of each input is left out.

        The network learns to do without: an input that is never missing in the data may be missing later.
        """
        move = picture_augment(flip=True, shift=SHIFT)
        columns = {"numbers": len(self.numbers), "categories": len(self.categories), "text": 1, "has_image": 1}
        unknown = {"numbers": [mean for mean, _ in self.numbers.values()]}

        def augment(inputs: dict, targets: dict, seed: tf.Tensor) -> tuple[dict, dict]:
            if "image" in inputs:
                inputs, targets = move(inputs, targets, tf.random.fold_in(seed, 0))
            changed = dict(inputs)
            for i, name in enumerate([name for name in columns if name in inputs], start=1):
                values = inputs[name]
                draws = tf.random.stateless_uniform((tf.shape(values)[0], columns[name]), tf.random.fold_in(seed, i))
                left_out = (draws if len(values.shape) == 2 else draws[:, 0]) < LEFT_OUT
                changed[name] = tf.where(left_out, tf.cast(unknown.get(name, 0), values.dtype), values)
            return changed, targets

        return augment


def hide_missing(inputs: dict) -> dict:
    """Casts images to float32, with -1 where `has_image` is false."""
    there = inputs["has_image"][:, None, None, None]
    images = tf.where(there, tf.cast(inputs["image"], tf.float32), -1.0)  # (B, H, W, C)
    return {name: values for name, values in inputs.items() if name != "has_image"} | {"image": images}


@dataclass(frozen=True, kw_only=True)
class PriceSplits(Splits):
    """Splits together with the codec and the things behind the rows."""

    codec: PriceCodec
    things: dict[str, Things]

    def only(self, branches: Iterable[str]) -> "PriceSplits":
        """Returns the splits with some of the branches "metadata", "text" and "image"."""
        kept = {name for branch in branches for name in INPUTS[branch]}
        parts = {}
        for part in PARTS:
            split = getattr(self, part)
            inputs = {name: values for name, values in split.inputs.items() if name in kept}
            lengths = {name: values for name, values in split.lengths.items() if name in kept}
            prepare = split.prepare if "image" in inputs else None
            parts[part] = replace(split, inputs=inputs, lengths=lengths, prepare=prepare)
        codec = replace(
            self.codec,
            numbers=self.codec.numbers if "numbers" in kept else {},
            categories=self.codec.categories if "categories" in kept else {},
            words=self.codec.words if "text" in kept else None,
            image_shape=self.codec.image_shape if "image" in kept else None,
        )
        things = self.things
        if codec.sizes != self.sizes:
            # The best possible estimates use all branches.
            things = {part: replace(rows, best=None) for part, rows in things.items()}
        return replace(self, **parts, codec=codec, sizes=codec.sizes, things=things)


def load_prices(
    data: str = "garments",
    *,
    price: str = "price",
    numbers: Sequence[str] = (),
    categories: Sequence[str] = (),
    text: str | None = None,
    image: str | None = None,
    size: int = 64,
    vocab_size: int = 20_000,
    tokens: GivenTokens = "auto",
    missing: float = 0.0,
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    limit: int | None = None,
) -> PriceSplits:
    """Loads things with a price.

    Inputs of the model: those of `build_multimodal_price` that the data have. Target: "log_price" float32 (B,).

    Args:
        data: "garments" (simulated), or a CSV, JSON or Parquet file.
        price: Column of a file with the price, above 0. Rows without one are left out.
        numbers: Columns that hold numbers.
        categories: Columns that hold categories.
        text: Column that holds a description.
        image: Column with the path of an image, relative to the folder of the file.
        size: Side of the images in pixels; simulated ones have 48.
        vocab_size: Maximum number of token ids.
        tokens: How texts are cut, see `kerasapps.data.words.settle_tokens`.
        missing: Share of the simulated descriptions and images that are left out.
        validation: Share of the rows for the validation set.
        test: Share of the rows for the test set.
        seed: Seed of simulation and split.
        limit: Maximum number of rows in each set.

    Raises:
        DataError: If the data cannot be found or read, or are too few to split.
    """
    if data == "garments":
        count = GARMENTS if limit is None else min(GARMENTS, 4 * limit)
        garments = simulate_garments(count, seed=seed, missing=missing)
        things = Things(
            {"years": garments.numbers[:, 0].astype(np.float64)},
            {"kind": np.array(garments.kinds, object), "brand": np.array(garments.brands, object)},
            np.array(garments.texts, object),
            garments.images,
            garments.has_image,
            garments.log_price,
            garments.best,
            (),
        )
    else:
        columns = {"price": price, "numbers": numbers, "categories": categories, "text": text, "image": image}
        things = read_things(data, **columns, size=size)
    if len(things.log_price) < 3:
        raise DataError(f"{data} has fewer than 3 rows with a price: one each is needed to train, validate and test.")
    every = np.arange(len(things.log_price))
    rest, tested = split_groups(every, share=test, seed=seed + 1)
    train, held_out = split_groups(rest, share=validation / (1 - test), seed=seed)
    rows = {"train": rest[train], "validation": rest[held_out], "test": tested}
    parts = {part: things.take(rows[part][:limit]) for part in PARTS}
    texts = parts["train"].texts
    tokens, said = ("words", ()) if texts is None else settle_tokens(tokens, texts)
    codec = fit_codec(parts["train"], vocab_size=vocab_size, tokens=tokens)
    splits = {part: codec.split(parts[part]) for part in PARTS}
    splits["train"] = replace(splits["train"], augment=codec.augmentation())
    return PriceSplits(**splits, sizes=codec.sizes, codec=codec, things=parts, notes=things.notes + said)


def fit_codec(train: Things, *, vocab_size: int, tokens: Tokens = "words") -> PriceCodec:
    """Collects scales, categories and words.

    Raises:
        DataError: If all prices are the same, or a column of numbers has only one value, or one of categories none.
    """
    numbers = {}
    for name, values in train.numbers.items():
        known = values[np.isfinite(values)]
        if len(known) == 0 or known.std() == 0:
            raise DataError(f"The numbers in {name} are all the same or missing: leave the column out.")
        numbers[name] = (float(known.mean()), float(known.std()))
    for name, values in train.categories.items():
        if not set(values) - {""}:
            raise DataError(f"No row of the training set has a {name}: leave the column out.")
    if train.log_price.std() == 0:
        raise DataError("All prices of the training set are the same.")
    words = None
    if train.texts is not None:
        words = fit_words(train.texts, size=vocab_size, length=LENGTH, tokens=tokens)
        if not words.words:
            raise DataError("The descriptions of the training set hold no word: leave them out.")
    return PriceCodec(
        numbers,
        {name: tuple(sorted(set(values) - {""})) for name, values in train.categories.items()},
        words,
        None if train.images is None else train.images.shape[1:],
        (float(train.log_price.mean()), float(train.log_price.std())),
        train.values,
    )


def read_things(
    data: str,
    *,
    price: str,
    numbers: Sequence[str],
    categories: Sequence[str],
    text: str | None,
    image: str | None,
    size: int,
) -> Things:
    """Reads a table; see `load_prices`.

    Raises:
        DataError: If the file cannot be read, a column is missing or not a number, a price is not above 0, or more than
            5 % of the images cannot be read.
    """
    table = open_table(data, embedded="garments")
    if not (numbers or categories or text or image):
        raise DataError(f"--numbers, --categories, --text or --image must name columns: {some(table.names)}.")
    columns = table.columns([price, *numbers, *categories, *filter(None, (text, image))])
    prices = read_numbers(columns[price], table=table, rows=np.arange(len(columns[price])))
    there = prices.values.is_not_null()
    rows = np.flatnonzero(there.to_numpy())
    amounts = as_floats(prices)[rows]
    if not (amounts > 0).all():
        first = int(np.argmin(amounts > 0))
        place = table.where(int(rows[first]))
        raise DataError(f"{table.path}, {place}: {price} must be above 0 in every row. Received: {amounts[first]:g}")
    columns = {name: column.filter(there) for name, column in columns.items()}
    read = {name: read_numbers(columns[name], table=table, rows=rows) for name in numbers}
    named = {name: read_names(columns[name]) for name in (*categories, *filter(None, [text]))}
    if image:
        named[image] = read_names(columns[image], composed=False)
    said = {price: prices.style} | {name: said_of(column) for name, column in read.items()}
    said |= {name: f"{named[name].distinct:,} categories{named[name].missing()}" for name in categories}
    said |= {name: named[name].missing().strip(" ()") for name in (text, image) if name}
    notes = [*table.notes, summary(len(there), dropped=len(there) - len(rows), lack=price, said=said)]

    def strings(name: str) -> np.ndarray:
        return named[name].values.fill_null("").to_numpy().astype(object)

    images, has_image, values = None, np.zeros(len(rows), bool), None
    if image:
        images, has_image, values, told = read_images(strings(image), folder=table.path.parent, size=size)
        notes += told
    return Things(
        {name: as_floats(column) for name, column in read.items()},
        {name: strings(name) for name in categories},
        strings(text) if text else None,
        images,
        has_image,
        np.log(amounts),
        None,
        tuple(notes),
        values,
    )


def read_images(
    names: Sequence[str], *, folder: Path, size: int
) -> tuple[np.ndarray, np.ndarray, Range | None, list[str]]:
    """Reads images; an empty name means no image, and one that cannot be read is reported and counts as none.

    Returns:
        Images uint8 (n, size, size, 3), whether there is one (n,), which values of images of more than 8 bits became 0
        and 255, and notes.

    Raises:
        DataError: If more than 5 % of those with a name cannot be read.
    """
    images = np.zeros((len(names), size, size, 3), np.uint8)
    has_image = np.zeros(len(names), bool)
    broken, deep, seen = [], {}, Seen()
    for i, name in enumerate(names):
        if name:
            try:
                pixels = read_values(folder / name, size=size, channels=3, seen=seen)
            except DataError as error:
                broken.append(str(error))
                continue
            has_image[i] = True
            if pixels.dtype == np.uint8:
                images[i] = pixels
            else:
                deep[i] = pixels
    named = sum(map(bool, names))
    if len(broken) > MOST_BROKEN * named:
        raise DataError(f"{len(broken)} of {named} images cannot be read, such as: {broken[0]}")
    share = f"{len(broken)} of {named} images cannot be read and count as missing"
    notes = [f"{share}, such as: {broken[0]}"] if broken else []
    values, said = one_range([(float(pixels.min()), float(pixels.max())) for pixels in deep.values()])
    for i, pixels in deep.items():
        images[i] = to_bytes(pixels, values)
    return images, has_image, values, notes + said + left_out(seen)
