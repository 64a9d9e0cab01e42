"""Jobs on the machines of a Ray cluster; the only importer of ray.

Ray assigns a job to a machine with free cores or a free GPU. There a Ray task starts it as `kerasapps.workers.jobs`
does, in a separate process under its limits, and waits for it.
"""

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from kerasapps import startup
from kerasapps.errors import UserError, explain
from kerasapps.workers.jobs import Job, Limits, Outcome, first_outcome, share

REACH_SECONDS = 10.0
CANCEL_SECONDS = 10.0
# A job whose machine dies resumes elsewhere, up to this often: the job itself may be what kills machines.
LOST_MACHINES = 3
LOST = "Its machine was lost, and it resumed on another."


class Cluster:
    """A connection to a Ray cluster, to start jobs on it.

    Args:
        address: Address of the cluster's head as host:port, or "auto" for the cluster of this machine.
        workers: Number of parallel jobs; decides how many cores, or GPUs, each gets.
        several_gpus: Whether a job can use more than one GPU.

    Raises:
        UserError: If Ray is not installed or the cluster cannot be reached.
    """

    def __init__(self, address: str, *, workers: int, several_gpus: bool = False):
        try:
            import ray
        except ImportError:
            raise UserError("--cluster needs Ray: pip install 'ray>=2.50'.") from None
        self.ray = ray
        self.workers = workers
        self.several_gpus = several_gpus
        _check_reachable(address)
        # The other machines have this project and its data at the same paths.
        environment = {name: value for name, value in os.environ.items() if name.startswith("KERAS")}
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        try:
            ray.init(
                address=address,
                runtime_env={"env_vars": environment},
                log_to_driver=False,
                logging_level="ERROR",
            )
        except (OSError, RuntimeError, ValueError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(f"--cluster {address}: {reason}") from error

    def start(
        self, function: str, arguments: dict[str, Any], folder: Path, *, limits: Limits = Limits(), more: bool = False
    ) -> "ClusterJob":
        """Starts a job as soon as a machine has room for it; see `kerasapps.workers.jobs.Machine` for the arguments."""
        return ClusterJob(self, [os.getcwd(), function, arguments, folder, limits])

    def submit(self, *arguments) -> Any:
        """Submits a job to Ray and returns Ray's reference to its outcome."""
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        gpus = [int(node.get("GPU", 0)) for node in nodes]
        room = {"num_cpus": 1}
        if any(gpus):
            room["num_gpus"] = share(gpus, self.workers) if self.several_gpus else 1
        else:
            room["num_cpus"] = share([int(node.get("CPU", 0)) for node in nodes], self.workers)
        threads = 0 if any(gpus) else room["num_cpus"]
        # Ray itself would retry a job that exhausts a machine's memory for ever. Its process may serve several jobs, as
        # none of them runs inside it.
        return self.ray.remote(max_retries=0, max_calls=0, **room)(_run).remote(*arguments, threads)

    def close(self) -> None:
        """Disconnects from the cluster."""
        self.ray.shutdown()


class ClusterJob:
    """A job on some machine of a cluster, with the methods of `kerasapps.workers.jobs.Job`."""

    def __init__(self, cluster: Cluster, arguments: list):
        self.cluster = cluster
        self.arguments = arguments
        self.lost = 0
        self.started = time.perf_counter()
        self.reference = cluster.submit(*arguments)

    def outcome(self) -> Outcome | None:
        """Returns the result, or None while it runs, waits for room, or restarts on another machine."""
        ray = self.cluster.ray
        if not ray.wait([self.reference], timeout=0)[0]:
            return None
        try:
            outcome = ray.get(self.reference)
            return replace(outcome, message=f"{LOST} {outcome.message}".strip()) if self.lost else outcome
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError) as error:
            self.lost += 1
            if self.lost < LOST_MACHINES:
                self.reference = self.cluster.submit(*self.arguments)
                return None
            cause = error
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
        except ray.exceptions.RayError as error:
            cause = error
        lines = str(cause).strip().splitlines() or [""]
        message = explain(cause) or f"{type(cause).__name__}: {lines[0]}"
        return Outcome(None, message, time.perf_counter() - self.started)

    def kill(self) -> None:
        """Kills it and waits until it is gone."""
        ray = self.cluster.ray
        for force in (False, True):
            ray.cancel(self.reference, force=force)
            if ray.wait([self.reference], timeout=CANCEL_SECONDS)[0]:
                return


def _run(workspace: str, function: str, arguments: dict, folder: Path, limits: Limits, threads: int) -> Outcome:
    """Runs a job on the machine that Ray has chosen."""
    os.chdir(workspace)  # paths may be relative to the folder that the search was started in
    job = Job(function, arguments, folder, threads=threads, limits=limits)
    try:
        return first_outcome({"": job})[1]
    finally:
        job.kill()
        startup.remove_temp_folder()  # Ray ends this process without its clean-up


def _check_reachable(address: str) -> None:
    """Raises UserError within seconds if no cluster answers; Ray itself would wait for minutes."""
    where = [] if address == "auto" else ["--address", address]
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", *where]
    with contextlib.suppress(subprocess.SubprocessError):
        subprocess.run(command, capture_output=True, timeout=REACH_SECONDS, check=True)
        return
    raise UserError(f"--cluster {address}: no Ray cluster answers there. Start one with: ray start --head")
