"""Images and their captions as splits: simulated scenes, or a folder of photographs with captions in a known format.

References: Hodosh et al., "Framing Image Description as a Ranking Task", JAIR 2013 (Flickr8k); Chen et al., "Microsoft
COCO Captions", 2015; Karpathy and Fei-Fei, "Deep Visual-Semantic Alignments", CVPR 2015 (the splits of both).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kerasapps.data.caption_files import Described, clean, counted, read_described
from kerasapps.data.download import data_folders
from kerasapps.data.pictures import read_picture
from kerasapps.data.scene_captions import CAPTIONS, write_captions
from kerasapps.data.scenes import SIZE, Scene, draw_scenes
from kerasapps.data.splits import Split, Splits, split_groups
from kerasapps.data.subwords import END, PADDING, START, Pieces, Subwords, Words, fit_pieces, pieces_from_json
from kerasapps.data.words import without_spaces
from kerasapps.errors import DataError
from kerasapps.files import printable, user_path

SCENES = {"train": 36_000, "validation": 500, "test": 1_000}
UNSEEN = 500  # scenes with pairs of kind and color that no other has
HELD_OUT = 0.1  # share of the images for validation and for the test set each, where the data have none
MOST_DAMAGED = 0.05
NAMED = 3
WORDS_SEED = 2
SETS = ("train", "validation", "test")


@dataclass(frozen=True)
class CaptionCodec:
    """Turns image files into inputs and ids into captions; fitted to a training set.

    Args:
        pieces: Pieces of the captions.
        image_shape: Height, width and channels of the images.
        max_length: Tokens of a caption at most, its end among them.
    """

    pieces: Subwords | Words
    image_shape: tuple[int, int, int]
    max_length: int

    def encode(self, files: Sequence[Path]) -> dict[str, np.ndarray]:
        """Returns the input "image" uint8 (n, H, W, C) of image files.

        Raises:
            DataError: If one cannot be read.
        """
        side, _, channels = self.image_shape
        return {"image": np.stack([read_picture(file, size=side, channels=channels) for file in files])}

    def decode(self, ids: np.ndarray) -> list[str]:
        """Returns the caption of each row of ids (n, T)."""
        return self.pieces.decode(ids)

    def pieces_of(self, caption: str) -> list[str]:
        """Returns the tokens of a caption as texts, its end left out."""
        return self.pieces.pieces(self.pieces.encode([caption])[0])

    def token_of(self, caption: str, word: int) -> int:
        """Returns which token ends a word of a caption; words are counted from 0, between blanks."""
        return len(self.pieces.encode([" ".join(caption.split()[: word + 1])])[0]) - 1

    def outputs(self) -> dict[str, int | None]:
        """Returns the width of each output."""
        return {"next": self.pieces.size, "attention": None}

    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Returns the shape of the image."""
        return {"image": self.image_shape}

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs."""
        return {"pieces": self.pieces.to_json(), "image_shape": self.image_shape, "max_length": self.max_length}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "CaptionCodec":
        """Returns the codec that `to_json` described."""
        height, width, channels = map(int, content["image_shape"])
        return cls(pieces_from_json(content["pieces"]), (height, width, channels), int(content["max_length"]))

    def ids(self, captions: Sequence[Sequence[str]]) -> tuple[np.ndarray, int]:
        """Returns the captions of each image, int32 (n, N, T) with start and end, and how many were cut to fit."""
        flat = self.pieces.encode([caption for own in captions for caption in own])
        most = self.max_length
        longest = min(most, max(map(len, flat), default=0) + 1)
        array = np.full((len(captions), max(map(len, captions), default=1), longest + 1), PADDING, np.int32)
        places = ((i, j) for i, own in enumerate(captions) for j in range(len(own)))
        for (i, j), row in zip(places, flat, strict=True):
            ids = [START, *row, END][: longest + 1]
            array[i, j, : len(ids)] = ids
        return array, sum(len(row) >= most for row in flat)

    def split(self, images: np.ndarray, captions: Sequence[Sequence[str]]) -> tuple[Split, int]:
        """Returns rows for training, one an image with all its captions, and how many captions were cut to fit.

        Inputs are "image" and "target", which begins with the start of a caption; the output "next" is the target one
        step later.
        """
        ids, cut = self.ids(captions)
        return Split({"image": images, "target": ids[..., :-1]}, {"next": ids[..., 1:]}), cut


@dataclass(frozen=True, kw_only=True)
class CaptionSplits(Splits):
    """Splits with the captions behind them.

    Args:
        captions: Captions of each image, by the name of the set; "unseen" is one of scenes that test composition.
        scenes: What there is to be seen, by the name of the set; none for photographs.
        further: A further caption of each scene, by the name of the set; none for photographs.
        unseen: Rows of scenes with pairs of kind and color that are in no other set.
    """

    captions: Mapping[str, Sequence[Sequence[str]]]
    scenes: Mapping[str, Sequence[Scene]] = field(default_factory=dict)
    further: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unseen: Split | None = None


def load_captions(
    data: str = "scenes",
    *,
    captions: str | None = None,
    size: int | None = None,
    tokens: Pieces = "words",
    vocab_size: int = 10_000,
    max_length: int = 30,
    seed: int = 0,
    limit: int | None = None,
) -> CaptionSplits:
    """Loads images with their captions.

    Args:
        data: "scenes" (simulated), or a folder of images with captions, also the name of one in $KERASAPPS_DATA.
        captions: The file with the captions, where it is not found by its name.
        size: Side of the images, 64 by default; scenes are as they are drawn.
        tokens: Whole words, or pieces of words.
        vocab_size: Ids at most.
        max_length: Tokens of a caption at most, its end among them; longer ones are cut.
        seed: Seed of the scenes, or of which images are held out.
        limit: Images of each set at most.

    Returns:
        Splits with the inputs "image" uint8 (n, H, W, 3) and "target" int32 (n, N, T), and the target "next" int32
        (n, N, T).

    Raises:
        DataError: If the data cannot be read, or nothing is left of a set.
    """
    if data == "scenes":
        if size not in (None, SIZE):
            raise DataError(f"--size {size}: scenes are drawn with {SIZE} pixels a side.")
        images, texts, more = _scenes(seed, limit)
    else:
        folders = [user_path(data), *(data_folders(data) if Path(data).name == data else [])]
        folder = next((one for one in folders if one.is_dir()), folders[0])
        described = read_described(folder, None if captions is None else user_path(captions))
        images, texts, more = _photographs(described, size or 64, seed=seed, limit=limit)
    texts = {name: [[clean(one) for one in own] for own in of] for name, of in texts.items()}
    pieces = fit_pieces([one for own in texts["train"] for one in own], kind=tokens, size=vocab_size)
    codec = CaptionCodec(pieces, images["train"].shape[1:], max_length)
    splits = {name: codec.split(images[name], texts[name]) for name in images}
    notes, cut = list(more.pop("notes", ())), sum(count for _, count in splits.values())
    if tokens == "words" and without_spaces(own[0] for own in texts["train"]):
        notes.append("The captions have no spaces between words: --tokens subwords cuts them into pieces.")
    if cut:
        notes.append(f"{cut:,} captions were cut to --max-length {max_length} tokens.")
    return CaptionSplits(
        **{name: split for name, (split, _) in splits.items()},
        sizes={"vocab_size": pieces.size, "image_shape": codec.image_shape},
        codec=codec,
        notes=tuple(notes),
        captions=texts,
        **more,
    )


def _scenes(seed: int, limit: int | None):
    """Draws scenes and writes their captions: images and captions by the name of the set, and what else is known."""
    images, texts, scenes, further = {}, {}, {}, {}
    for number, (name, count) in enumerate((SCENES | {"unseen": UNSEEN}).items()):
        own = (len(SCENES) + 1) * seed + number
        scenes[name], images[name] = draw_scenes(min(count, limit or count), seed=own, unseen=name == "unseen")
        # What follows the seed is another number than any scene has, so that scenes and captions are independent.
        rng = np.random.default_rng(np.random.SeedSequence([own, WORDS_SEED]))
        written = [write_captions(scene, CAPTIONS + 1, rng) for scene in scenes[name]]
        texts[name], further[name] = [six[:CAPTIONS] for six in written], [six[-1] for six in written]
    return images, texts, {"scenes": scenes, "further": further}


def _photographs(described: Described, size: int, *, seed: int, limit: int | None):
    """Reads photographs, and splits them by image: images and captions by the name of the set, and notes."""
    rows = _parts(described, seed)
    images, texts, notes = {}, {}, list(described.notes)
    without = len(described.files) - sum(map(len, rows.values()))
    if without:
        notes.append(f"Left out: {counted(without, 'image')} that no list of the data puts in a set.")
    damaged = []
    for name in SETS:
        own = rows[name][:limit]
        read = _read([described.files[i] for i in own], size)
        kept = [i for i, image in enumerate(read) if isinstance(image, np.ndarray)]
        damaged += [str(image) for image in read if not isinstance(image, np.ndarray)]
        if not kept:
            raise DataError(f"There is no image for the {name} set: at least 3 images with captions are needed.")
        images[name] = np.stack([read[i] for i in kept])
        texts[name] = [described.captions[own[i]] for i in kept]
    total = len(damaged) + sum(map(len, images.values()))
    if damaged:
        sentence = f"{len(damaged):,} of {total:,} images cannot be read: {' '.join(damaged[:NAMED])}"
        if len(damaged) > MOST_DAMAGED * total and len(damaged) > 1:
            raise DataError(sentence)
        notes.append(f"Left out: {sentence}")
    return images, texts, {"notes": notes}


def _read(files: Sequence[Path], size: int) -> list[np.ndarray | DataError]:
    """Returns each image, uint8 (size, size, 3), or why it cannot be read."""

    def read(file: Path) -> np.ndarray | DataError:
        try:
            return read_picture(file, size=size, channels=3, name=printable(file))
        except DataError as error:
            return error

    with ThreadPoolExecutor() as pool:
        return list(pool.map(read, files))


def _parts(described: Described, seed: int) -> dict[str, list[int]]:
    """Returns the rows of each set, as the data say, and where they say nothing drawn by image."""
    files = [str(file) for file in described.files]
    parts = np.array(described.parts)
    rows = {name: list(np.flatnonzero(parts == name)) for name in SETS}
    free = np.flatnonzero(parts == "") if not rows["train"] else np.array(rows["train"])
    for name in ("test", "validation"):
        if not rows[name]:
            if len(free) < 2:
                raise DataError(f"There is no image for the {name} set: at least 3 images with captions are needed.")
            groups = np.array([files[i] for i in free])  # an image that is listed twice is in one set
            kept, held_out = split_groups(groups, share=HELD_OUT, seed=seed)
            rows[name], free = list(free[held_out]), free[kept]
    rows["train"] = list(free)
    order = np.random.default_rng(seed)
    return {name: [int(i) for i in order.permutation(own)] for name, own in rows.items()}
