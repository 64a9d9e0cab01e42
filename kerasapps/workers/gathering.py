"""Waits until the other workers have started, and prints for whom; a signal ends the wait at once.

TensorFlow's own wait prints nothing, and while it lasts no signal is handled.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from kerasapps.workers.watchdog import LIMITS, answers

POLL_SECONDS = 0.1
QUIET_SECONDS = 5.0  # before it says whom it waits for
AGAIN_SECONDS = 60.0
NAMED = 10


def wait_for_others(addresses: Sequence[str], index: int) -> None:
    """Returns as soon as all other workers answer, once each, at their addresses.

    Meanwhile this one answers at its own; then the port is free for TensorFlow, which answers in its place. The limit
    of the start is the watchdog's.

    Args:
        addresses: "host:port" of all workers.
        index: Number of this one.
    """
    silent = [i for i in range(len(addresses)) if i != index]
    started, told = time.monotonic(), QUIET_SECONDS - AGAIN_SECONDS
    with _answering(addresses[index]):
        # In a thread: looking up a name cannot be interrupted.
        done = threading.Event()
        threading.Thread(target=_find, args=(addresses, silent, done), daemon=True).start()
        while not done.wait(POLL_SECONDS):
            waited = time.monotonic() - started
            if silent and waited >= told + AGAIN_SECONDS:
                told = waited
                print(sentence(addresses, silent), file=sys.stderr, flush=True)


def sentence(addresses: Sequence[str], silent: Sequence[int]) -> str:
    """Returns for whom this worker waits, and for how long."""
    limit = float(os.environ.get("KERASAPPS_START_LIMIT", LIMITS["start"]))
    names = ", ".join(f"{i} ({addresses[i]})" for i in silent[:NAMED])
    more = f" and {len(silent) - NAMED} more" if len(silent) > NAMED else ""
    return f"Waiting for worker {names}{more}, at most {limit:.0f} s."


def _find(addresses: Sequence[str], silent: list[int], done: threading.Event) -> None:
    """Removes from `silent` who answers, until all have."""
    while silent:
        for i in list(silent):
            if answers(addresses[i]):
                silent.remove(i)
        if silent:
            time.sleep(POLL_SECONDS)
    done.set()


@contextlib.contextmanager
def _answering(address: str) -> Iterator[None]:
    """Accepts connections at an address, unless the port is taken, which TensorFlow reports."""
    server = _server(int(address.rsplit(":", 1)[1]))
    with server or contextlib.nullcontext():
        yield


def _server(port: int) -> socket.socket | None:
    """Returns a server at a port, for IPv6 too where there is that; None if the port is taken."""
    both = [{"family": socket.AF_INET6, "dualstack_ipv6": True}] if socket.has_dualstack_ipv6() else []
    for options in (*both, {}):
        with contextlib.suppress(OSError):
            return socket.create_server(("", port), **options)
    return None
