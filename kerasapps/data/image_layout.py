"""Which set and which class the images of a folder belong to, as its structure shows."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from kerasapps.data.image_files import SUFFIXES
from kerasapps.errors import DataError
from kerasapps.files import printable

# Where a file lies under the root, as in ("train", "cat", "1.jpg").
Place = tuple[str, ...]

ROLES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
}
# What the name of a set may have besides: "training_set", "test_images".
NEUTRAL = {"set", "data", "dataset", "images", "image", "imgs", "img", "photos", "pictures", "folder", "split"}
# What systems and programs put beside files, in small letters; other such names begin with a point.
SYSTEM = {
    *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "$recycle.bin", "recycler"),
    *("system volume information", "lost+found", "__macosx", "network trash folder", "temporary items"),
    *("~snapshot", "@tmp", "found.000", "lost.dir", "_vti_cnf"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini", "__pycache__"),
}
NAMED = 10  # names in a message; of the others only the number


@dataclass(frozen=True)
class Layout:
    """How a folder is laid out.

    Args:
        top: Folders that hold everything else, and are looked through.
        parts: Set by the folder below `top`, "train", "test" or "validation"; empty where there is only one set.
        repeated: Those of `parts` that hold all in a folder of their own name, which is looked through.
        has_classes: Whether the folders below are classes.
    """

    top: Place = ()
    parts: dict[str, str] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()
    has_classes: bool = True

    def locate(self, place: Place) -> tuple[str, Place] | None:
        """Returns the set that a file or folder belongs to and where it is below; None if it belongs to none."""
        if place[: len(self.top)] == self.top:
            place = place[len(self.top) :]
        if not self.parts or not place:
            return "train", place
        part, below = self.parts.get(place[0]), place[1:]
        if part is None or not below:
            return None
        return part, below[1:] if place[0] in self.repeated and below[0] == place[0] else below

    def notes(self, *, archive: bool) -> tuple[str, ...]:
        """Returns what a person should know of it: what was looked through, and sets with unusual names."""
        notes = ()
        # Most archives have one folder that holds everything.
        through = ["/".join(self.top)] if len(self.top) > archive else []
        through += [f"{name}/{name}" for name in sorted(self.repeated)]
        if through:
            notes += (f"Looked through {listed(through)}, which {'holds' if len(through) == 1 else 'hold'} the rest.",)
        if any(name.lower() not in ROLES for name in self.parts):
            said = [f"{name} ({self.parts[name]})" for name in sorted(self.parts)]
            notes += (f"Taken for the sets, by structure and name: {listed(said)}.",)
        return notes


def find_layout(path: Path, places: Collection[Place], *, classes: bool) -> Layout:
    """Finds sets and classes in a folder.

    Several top folders that have the same sub-folders are sets, and so are top folders named like sets whose images are
    in sub-folders.

    Args:
        path: The folder, for messages.
        places: Where its images are.
        classes: Whether there must be classes; else images may also lie flat, or in one folder.

    Raises:
        DataError: If sets and classes cannot be told apart, or there is no class.
    """
    inside = [place for place in places if len(place) > 1]
    top = _wrapping(inside)
    inside = [place[len(top) :] for place in inside]
    below: dict[str, set[Place]] = {}
    for place in inside:
        below.setdefault(place[0], set()).add(place[1:])
    repeated = frozenset(name for name, rests in below.items() if all(len(r) > 1 and r[0] == name for r in rests))
    below = {name: {r[1:] for r in rests} if name in repeated else rests for name, rests in below.items()}
    parts = _parts(path, below)
    if parts:
        return Layout(top, parts, repeated & parts.keys())
    sets = _flat_sets(below)
    if classes and sets:
        raise DataError(
            f"{path}: {listed(sorted(sets))} look like sets, not like classes. Their images must be in one sub-folder "
            f"for each class, as in {min(sets)}/cat/1.jpg."
        )
    if classes and not inside:
        raise DataError(f"{path} holds no image in a sub-folder ({', '.join(SUFFIXES)}).")
    few = len(below) < 2 or len(places) > 2 * len(inside)
    if classes or not (sets or few):
        return Layout(top)
    return Layout(top if sets else (), sets, repeated & sets.keys(), has_classes=False)


def is_system(name: str) -> bool:
    """Returns whether a file or folder is hidden, or put there by a system."""
    return name.startswith(".") or name.lower() in SYSTEM


def listed(names: Collection[str]) -> str:
    """Returns at most ten names, and the number of the others."""
    names = [printable(name) for name in names]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _wrapping(places: list[Place]) -> Place:
    """Returns the folders that hold everything else; most archives have one."""
    depth = 0
    while (
        places
        and not _role(places[0][depth])
        and all(len(place) > depth + 2 and place[depth] == places[0][depth] for place in places)
    ):
        depth += 1
    return places[0][:depth] if depth else ()


def _parts(path: Path, below: dict[str, set[Place]]) -> dict[str, str]:
    """Returns which top folders are sets; none where they are classes, one of which may be named "train", too.

    Raises:
        DataError: If some look like sets and others do not.
    """
    flat = {name for name, rests in below.items() if any(len(rest) == 1 for rest in rests)}
    subs = {name: {rest[0] for rest in rests if len(rest) > 1} for name, rests in below.items()}
    roles = {name: role for name in below if (role := _role(name))}
    training = {name for name, role in roles.items() if role == "train"}
    others = roles.keys() - training
    if training and not training & flat and (others or len(below) == 1):
        return roles
    # Images next to the class folders of a set do not make it a class, if another set has some of these classes too.
    if set.intersection(*(set().union(*(subs[name] for name in names)) for names in (training, others))):
        return roles
    deep = {name: names for name, names in subs.items() if names}
    shared = set.intersection(*deep.values()) if len(deep) > 1 else set()
    if len(shared) > 1 and 2 * len(shared) >= len(set().union(*deep.values())):
        roles = {name: role for name in deep if (role := _role(name, loosely=True))}
        if roles.keys() != deep.keys() or "train" not in roles.values():
            raise DataError(
                f"{path}: {listed(sorted(deep))} have the same sub-folders ({listed(sorted(shared))}). If they are "
                "sets, name them train, val and test; if they are classes, put their images directly into them."
            )
        return roles
    loose = {name: _role(name, loosely=True) for name in below}
    labeled = {name for name in below if len(subs[name]) > 1 and name not in flat}
    if None not in loose.values() and labeled and {loose[name] for name in labeled} == {"train"}:
        return loose  # the images of the other sets have no classes
    odd = sorted(roles.keys() - flat)
    if odd:
        raise DataError(
            f"{path}: {odd[0]} looks like a training, validation or test set, as its images are in sub-folders, but "
            "the top folders must be train alone, or train with test or val."
        )
    return {}


def _flat_sets(below: dict[str, set[Place]]) -> dict[str, str]:
    """Returns the set of each top folder, if all are named like sets, the training set among them."""
    roles = {name: _role(name, loosely=True) for name in below}
    return roles if None not in roles.values() and {"train"} < set(roles.values()) else {}


def _role(name: str, *, loosely: bool = False) -> str | None:
    """Returns which set a folder is by its name: "training_set" or "test1", and loosely "seg_train" or "trainset"."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    words = [word for word in words if len(word) > 1 and word not in NEUTRAL]
    if len(words) == 1 and words[0] in ROLES:
        return ROLES[words[0]]
    if loosely:
        for start in ("train", "test", "val", "dev"):
            if any(word.startswith(start) for word in words):
                return ROLES[start]
    return None
