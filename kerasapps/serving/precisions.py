"""The precision in which all pictures of a server are painted."""

import subprocess
import threading

from kerasapps.serving import child


class Precision:
    """The precision of all pictures: what "auto" comes to is measured once, in a separate process.

    Args:
        asked: A policy, or "auto".
        module: The module that measures it, and prints it as its last word.
    """

    def __init__(self, asked: str, module: str):
        self.settled, self.measuring = asked, threading.Lock()
        self.process: subprocess.Popen | None = None
        if asked == "auto":
            self.process = child.start(module, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def get(self) -> str:
        """Returns it, once it is measured."""
        with self.measuring:
            if self.process is not None:
                told = self.process.communicate()[0].decode().split()
                self.settled, self.process = told[-1] if told else "float32", None
        return self.settled

    def close(self) -> None:
        """Ends the measurement."""
        process = self.process
        if process is not None:
            process.kill()
