"""A process that answers without a network, as `experiments/shared/trying.py` does with one."""

import json
import os
import sys
import time
from pathlib import Path

FIELDS = [
    {"name": "text", "label": "A text", "kind": "text", "choices": [], "hint": "Any."},
    {"name": "image", "label": "An image", "kind": "image", "choices": [], "required": False},
]


def respond(request: dict) -> dict:
    values = request["values"]
    if Path(request["run"]).name == "unusable":
        return {"error": "It is a run of nothing."}
    if values is None:
        return {"title": "Echo", "detail": "on nothing", "fields": FIELDS}
    if values["text"] == "die":
        os._exit(3)
    if values["text"] == "sleep":
        time.sleep(60)
    if values["text"] == "refuse":
        return {"error": "That is no text."}
    html = f"<p id='said'>{values['text'].upper()} {Path(values['image']).is_file() if values['image'] else ''}</p>"
    return {
        "sections": [{"title": "Said", "html": html}],
        "notes": ["A note."],
        "command": ["echo", values["text"], values["image"] or ""],
    }


for line in sys.stdin:
    print(json.dumps(respond(json.loads(line))), flush=True)
