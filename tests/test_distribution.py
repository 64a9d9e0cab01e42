import importlib.machinery
import json
import os
import re
import shlex
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import yaml

from experiments.image_classification import __main__ as image_classification
from experiments.shared import cli
from kerasapps import distribution, launch
from kerasapps.errors import UserError
from kerasapps.runs import Options
from kerasapps.settings import from_settings

DEPLOY = Path(__file__).parent.parent / "deploy"
# What srun sets for the third of six tasks on three machines.
SLURM = {
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "0",
    "SLURMD_NODENAME": "node9",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_NODELIST": "node[8-10]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x3)",
}


def tf_config(task: str, index: int, **jobs: list[str]) -> str:
    """What Kubernetes' training operator sets in a pod."""
    return json.dumps({"cluster": jobs, "task": {"type": task, "index": index}, "environment": "cloud"})


def worker_in(monkeypatch, **environment: str) -> distribution.Worker:
    for name in ("TF_CONFIG", *SLURM):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return distribution.this_worker("multiworker")


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("0,1", ["0", "1"]),
        (" 2, 5 ,-1,3", ["2", "5"]),
        ("GPU-8932f937,MIG-1/0", ["GPU-8932f937", "MIG-1/0"]),
        *[(none, []) for none in ("-1", "", "NoDevFiles", "none", ",")],
    ],
)
def test_a_launcher_sees_the_gpus_that_cuda_does(visible, names, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert launch._gpus() == names


def test_workers_of_a_tfjob(monkeypatch):
    pods = [f"kerasapps-worker-{i}.default.svc:2222" for i in range(4)]
    last = worker_in(monkeypatch, TF_CONFIG=tf_config("worker", 3, worker=pods))
    assert last == distribution.Worker(3, tuple(pods))
    assert not last.is_chief
    assert worker_in(monkeypatch, TF_CONFIG=tf_config("worker", 0, worker=pods)).is_chief


def test_a_chief_of_a_tfjob_comes_before_the_workers(monkeypatch):
    jobs = {"chief": ["c:1"], "worker": ["a:1", "b:1"]}
    assert worker_in(monkeypatch, TF_CONFIG=tf_config("chief", 0, **jobs)) == distribution.Worker(
        0, ("c:1", "a:1", "b:1")
    )
    assert worker_in(monkeypatch, TF_CONFIG=tf_config("worker", 1, **jobs)).index == 2


def test_tasks_of_slurm(monkeypatch):
    third = worker_in(monkeypatch, **SLURM)
    hosts = [address.split(":")[0] for address in third.addresses]
    assert sorted(hosts) == ["node10"] * 2 + ["node8"] * 2 + ["node9"] * 2
    assert len(set(third.addresses)) == 6
    workers = [
        worker_in(monkeypatch, **SLURM | {"SLURMD_NODENAME": f"node{8 + i // 2}", "SLURM_LOCALID": str(i % 2)})
        for i in range(6)
    ]
    assert sorted(worker.index for worker in workers) == list(range(6))
    for i, worker in enumerate(workers):
        assert worker.addresses[worker.index].startswith(f"node{8 + i // 2}:")


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "finds no other workers: start it with `python -m kerasapps.launch"),
        ({"TF_CONFIG": "{worker"}, "TF_CONFIG cannot be read"),
        ({"TF_CONFIG": tf_config("worker", 2, worker=["a:1", "b:1"])}, "TF_CONFIG does not list this process"),
        ({"TF_CONFIG": tf_config("evaluator", 0, worker=["a:1"])}, "TF_CONFIG"),
        ({"SLURM_PROCID": "0"}, "Slurm's variables for this job cannot be read"),
    ],
)
def test_what_is_no_cluster_is_refused(monkeypatch, environment, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        worker_in(monkeypatch, **environment)


def of_slurm() -> list[str]:
    """Arguments of the command in the batch file."""
    text = (DEPLOY / "slurm.sbatch").read_text().replace("\\\n", " ")
    return shlex.split(re.search(r"experiments\.image_classification (.*) &", text)[1])


def of_kubernetes() -> list[str]:
    """Arguments of the command in the pod."""
    [container] = yaml.safe_load((DEPLOY / "tfjob.yaml").read_text())["spec"]["tfReplicaSpecs"]["Worker"]["template"][
        "spec"
    ]["containers"]
    return container["command"][3:] + container["args"]


def slurm_job(folder: Path, srun: str) -> subprocess.Popen:
    """The batch file with a script in place of srun, which may count its calls in the file `calls`."""
    (folder / "srun").write_text(f"#!/bin/bash\necho >> {folder}/calls\ncalls=$(wc -l < {folder}/calls)\n{srun}\n")
    (folder / "srun").chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    return subprocess.Popen(["bash", DEPLOY / "slurm.sbatch"], env=environment)


@pytest.mark.parametrize(
    ("srun", "status", "calls"),
    [
        ("[ $calls = 3 ]", 0, 3),  # two workers died
        ("exit 2", 2, 1),
        ("[ $calls = 2 ] || exit 143", 0, 2),  # srun ended the others by SIGTERM; nobody asked the job to stop
        ("exit 1", 1, 4),
    ],
)
def test_a_slurm_job_starts_again_unless_the_mistake_is_the_users(tmp_path, srun, status, calls):
    assert slurm_job(tmp_path, srun).wait(600) == status
    assert len((tmp_path / "calls").read_text()) == calls


def test_a_slurm_job_passes_the_end_of_its_time_on_and_waits(tmp_path):
    job = slurm_job(
        tmp_path, f"trap 'sleep 0.5; touch {tmp_path}/saved; exit 143' TERM; while true; do sleep 0.1; done"
    )
    while not (tmp_path / "calls").exists():
        time.sleep(0.05)
    time.sleep(0.3)
    job.terminate()
    assert job.wait(600) == 143
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize("example", [of_slurm, of_kubernetes])
def test_the_commands_of_the_examples_are_understood(monkeypatch, example):
    started = []

    def start(title, settings, **_):
        started.append(from_settings(Options, settings))
        raise UserError("enough")

    monkeypatch.setattr(image_classification, "start", start)
    with pytest.raises(SystemExit):
        cli.main(
            "experiments.image_classification", image_classification.train, image_classification.search, args=example()
        )
    [options] = started
    assert (options.strategy, options.resume, options.scale_lr) == ("multiworker", True, True)
    assert options.out is not None


# What `pytest.warns` does not expect it raises again, past the filters by module.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_release_of_keras_that_was_not_tested_is_tried(monkeypatch):
    strategy = distribution.make_strategy("mirrored")
    monkeypatch.setattr(distribution, "TESTED_KERAS", ("2.0",))
    with pytest.warns(UserWarning, match=r"tested with Keras 2\.0, this is 3"):
        distribution.check_keras(strategy)
    # As if each worker saw other rows than those of its share.
    monkeypatch.setattr(distribution, "shard_rows", lambda data: data.map(lambda x, y: (x, y + 1)))
    with pytest.warns(UserWarning, match="tested"), pytest.raises(UserError, match="gives other weights"):
        distribution.check_keras(strategy)


def test_the_code_is_that_of_the_script_too(monkeypatch, tmp_path):
    script = tmp_path / "script.py"
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    digests = []
    for text in ("x = 1", "x = 1", "x = 2"):
        (tmp_path / "beside_it.py").write_text(text)
        digests.append(distribution.code_digest())
    assert digests[0] == digests[1] != digests[2]


def test_the_code_is_that_of_the_packages_of_a_script_wherever_they_lie(monkeypatch, tmp_path):
    spec = importlib.machinery.ModuleSpec("outer.experiments.qa.__main__", None)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", spec)
    # As an editable install has it: the inner package is not inside the folder of the outer one.
    for name, folder in {"outer": "a", "outer.experiments": "b", "outer.experiments.qa": "b/qa"}.items():
        (tmp_path / folder).mkdir()
        monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(__path__=[str(tmp_path / folder)]))
    digests = [distribution.code_digest()]
    for folder in ("a", "b", "b/qa"):
        (tmp_path / folder / "module.py").write_text("x = 1")
        digests.append(distribution.code_digest())
    (tmp_path / "elsewhere.py").write_text("x = 1")
    assert len(set(digests)) == 4
    assert distribution.code_digest() == digests[-1]


def test_workers_that_differ_are_refused_by_name(monkeypatch):
    monkeypatch.setattr(distribution, "gather", lambda strategy, numbers: np.array([[1, 5], [1, 5], [1, 6]]))
    with pytest.raises(UserError, match=r"^Worker 2 and worker 0 have different versions of Keras\.$"):
        distribution.check_alike(None, data=1, versions_of_Keras=5)
    monkeypatch.setattr(distribution, "gather", lambda strategy, numbers: np.array([[1, 5], [1, 5]]))
    distribution.check_alike(None, data=1, versions_of_Keras=5)
