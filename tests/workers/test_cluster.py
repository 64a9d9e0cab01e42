import os
import threading
import time

import pytest

from kerasapps.errors import UserError
from kerasapps.runs import Options
from kerasapps.search.loop import search
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.workers import cluster
from kerasapps.workers.cluster import LOST, Cluster
from tests import trials
from tests.workers.test_jobs import is_alive


@pytest.fixture(autouse=True, scope="module")
def _environment_of_ray():
    """Undoes what Ray sets for its process."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize("address", ["rubbish", "127.0.0.1:1"])
def test_a_cluster_that_is_not_there_is_a_sentence(address, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setattr(cluster, "REACH_SECONDS", 3.0)
    with pytest.raises(UserError, match=f"--cluster {address}: no Ray cluster answers there"):
        Cluster(address, workers=1)


def test_without_ray_a_cluster_is_a_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'ray>=2\.50'"):
        Cluster("auto", workers=1)


@pytest.fixture
def nodes(monkeypatch):
    """Two machines of a cluster with a core each; the second one is to be lost."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # By default Ray's workers give way to everything else on the machine, such as other tests.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    machines = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield machines, machines.add_node(num_cpus=1)
    machines.shutdown()


def test_a_search_goes_on_when_a_machine_is_lost(tmp_path, nodes):
    machines, second = nodes
    folder = tmp_path / "run" / "trials"

    def lose_a_machine():
        # Each of the two machines has a trial then.
        while len(running := [path.read_text() for path in folder.glob("*/tries.txt")]) < 2 or not all(running):
            time.sleep(0.1)
        try:
            machines.remove_node(second, allow_graceful=False)
            while all(is_alive(int(pid)) for pid in running):
                time.sleep(0.1)
        finally:
            (folder / "go").touch()

    threading.Thread(target=lose_a_machine, daemon=True).start()
    run = start("toy search", {"options": Options(out=tmp_path / "run", seed=1)}, workload="matmul")
    result = search(
        run,
        trials.waiting_trial,
        trials.rough_space,
        arguments={},
        trials=Trials(tuner="grid", max_trials=3, workers=2, cluster=machines.address),
        epochs=4,
        objective="val_accuracy",
        maximize=True,
    )
    run.close()
    assert {trial.score for trial in result.trials} == {0, 1, 2}
    assert len(result.trials) == 4
    lost = [trial for trial in result.trials if trial.message]
    assert [trial.message for trial in lost] == [LOST]
    assert len((folder / lost[0].name / "tries.txt").read_text().split()) == 2
