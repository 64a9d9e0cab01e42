"""A command that paints without a network: it copies the photo, in as many steps as its name asks for.

python -m tests.serving.painter run --content content.jpg --steps 3 --out run [--resume]
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from PIL import Image

from kerasapps import startup
from kerasapps.files import write_atomically, write_json


def option(name: str, default: str = "") -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def main() -> None:
    out, steps, seconds = Path(option("--out")), int(option("--steps")), float(option("--seconds", "0.02"))
    out.mkdir(exist_ok=True)
    if option("--end") == "refuse":
        print("Something was printed.\nThe photo is too dark.", file=sys.stderr)
        sys.exit(2)
    if option("--end") == "break":
        raise RuntimeError("a defect")
    if option("--end") == "abort":
        os.abort()
    if option("--end") == "hangup":
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGHUP)
    if option("--end") == "memory":
        os.kill(os.getpid(), signal.SIGKILL)
    write_json(out / "config.json", {"command": sys.argv, "folder": str(Path.cwd())})
    checkpoint = out / "checkpoints" / "step.json"
    checkpoint.parent.mkdir(exist_ok=True)
    done = json.loads(checkpoint.read_text()) if "--resume" in sys.argv and checkpoint.exists() else 0
    with Image.open(option("--content")) as photo:
        photo = photo.convert("RGB")
    try:
        for step in range(done + 1, steps + 1):
            time.sleep(seconds)
            photo.save(out / "preview.png")
            told = {"step": step, "total": steps, "width": photo.width, "height": photo.height}
            write_json(out / "progress.json", told)
            write_atomically(checkpoint, json.dumps(step))
            with open(out / "steps.txt", "a") as file:
                file.write(f"{step}\n")
    except KeyboardInterrupt:
        if option("--end") == "deaf":
            time.sleep(60)
    photo.save(out / "result.png")
    write_json(out / "metrics.json", {"steps": steps})


if __name__ == "__main__":
    with startup.when_stopped(startup.stop):
        main()
