"""The folders that bAbI has in Hindi, made small."""

from pathlib import Path

from kerasapps.data.babi import TASK_NAMES

NAMES = ["मीरा", "मारी", "मोरा", "मूरा"]  # which differ in vowel signs alone
SENTENCES = {"hn": "{0} ने {1} उठाया।", "hn-10k": "{0} {1} में गई ?."}


def write_hindi(folder: Path) -> Path:
    """Writes the twenty tasks, with a question about each name, to a folder named as one of the two."""
    folder.mkdir()
    for task, slug in enumerate(TASK_NAMES, start=1):
        story = [f"1 {SENTENCES[folder.name].format(name, 'सेब')}\n2 {name} कहाँ है?\t{name}\t1\n" for name in NAMES]
        for part in ("train", "test"):
            name = f"qa{task}_{slug.replace(' ', '-')}_{part}.txt"
            (folder / name).write_text("".join(story), encoding="utf-8")
    return folder
