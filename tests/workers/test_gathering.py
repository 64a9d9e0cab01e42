"""Waiting for other workers: whom it waits for is printed, and signals end it at once."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kerasapps.launch import free_ports
from kerasapps.workers import gathering

ROOT = Path(__file__).parents[2]


def addresses(count):
    return [f"127.0.0.1:{port}" for port in free_ports(count)]


def test_all_return_once_all_have_come():
    cluster = addresses(3)
    threads = [threading.Thread(target=gathering.wait_for_others, args=(cluster, i), daemon=True) for i in range(3)]
    servers = []

    def go_on(i):  # TensorFlow answers at the same port
        threads[i].join(600)
        servers.append(socket.create_server(("", int(cluster[i].rsplit(":")[1]))))

    for thread in threads[:2]:
        thread.start()
    time.sleep(0.3)
    assert all(thread.is_alive() for thread in threads[:2])
    threads[2].start()
    after = [threading.Thread(target=go_on, args=(i,)) for i in range(3)]
    for thread in after:
        thread.start()
    for thread in after:
        thread.join(600)
    assert len(servers) == 3
    assert not any(thread.is_alive() for thread in threads)
    for server in servers:
        server.close()


def test_a_single_worker_waits_for_nobody():
    gathering.wait_for_others(addresses(1), 0)


def test_the_sentence_names_ten(monkeypatch):
    monkeypatch.setenv("KERASAPPS_START_LIMIT", "30")
    cluster = [f"node{i}:2222" for i in range(13)]
    assert gathering.sentence(cluster, [1]) == "Waiting for worker 1 (node1:2222), at most 30 s."
    said = gathering.sentence(cluster, range(1, 13))
    assert said.endswith("10 (node10:2222) and 2 more, at most 30 s.")


@pytest.mark.parametrize("host", ["node..1", "x" * 70, "-"])
def test_what_cannot_be_a_host_does_not_answer(host):
    assert not gathering.answers(f"{host}:2222")


def test_workers_may_have_addresses_of_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    for _ in range(3):  # another process may take a port between its choice and its use
        cluster = [address.replace("127.0.0.1", "[::1]") for address in addresses(2)]
        waiting = [{"target": gathering.wait_for_others, "args": (cluster, i), "daemon": True} for i in range(2)]
        threads = [threading.Thread(**one) for one in waiting]
        for thread in threads:
            thread.start()
            time.sleep(0.2)
        threads[1].join(20)
        if not threads[1].is_alive():
            break
        with gathering._answering(cluster[0]), gathering._answering(cluster[1]):
            for thread in threads:  # or it would go on telling whom it waits for, in the midst of other tests
                thread.join(5)
    assert not threads[1].is_alive()
    with gathering._answering(cluster[1]):  # as TensorFlow does
        threads[0].join(600)
    assert not threads[0].is_alive()


def test_a_taken_port_is_left_to_tensorflow():
    (own,) = addresses(1)
    with socket.create_server(("", int(own.rsplit(":")[1]))), gathering._answering(own):
        pass


# The first worker waits for the second, and the second for the first.
CLUSTERS = [
    {"cluster": {"worker": ["127.0.0.1:{0}", "127.0.0.1:{1}"]}, "task": {"type": "worker", "index": 0}},
    {"cluster": {"chief": ["127.0.0.1:{1}"], "worker": ["127.0.0.1:{0}"]}, "task": {"type": "worker", "index": 0}},
]
COMMAND = """
from kerasapps import startup
startup.prepare()
from kerasapps.workers import gathering
gathering.QUIET_SECONDS = 0.2
from experiments.shared.cli import main
from tests.gang_process import train
main("tests.gang_process", train, args=["train", "--strategy", "multiworker", "--out", {out!r}])
"""


@pytest.mark.multiworker
@pytest.mark.parametrize(
    ("number", "status", "config"), [(signal.SIGINT, 130, CLUSTERS[0]), (signal.SIGTERM, 143, CLUSTERS[1])]
)
def test_a_signal_ends_the_wait_at_once(number, status, config, tmp_path):
    ports = free_ports(2)
    text = json.dumps(config)
    for i, port in enumerate(ports):
        text = text.replace(f"{{{i}}}", str(port))
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(out=str(out))],
        cwd=ROOT,
        env=os.environ | {"TF_CONFIG": text},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        said = process.stderr.readline()
        missing = 1 if number == signal.SIGINT else 0
        assert said == f"Waiting for worker {missing} (127.0.0.1:{ports[1]}), at most 900 s.\n"
        process.send_signal(number)
        assert process.wait(600) == status
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
    assert not [path for path in out.glob("*") if path.name != ".lock"]  # of a worker that is not the chief, no folder
