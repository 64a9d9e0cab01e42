"""From a flag to a `tf.distribute` strategy; no other module knows how many devices and workers there are."""

import contextlib
import functools
import hashlib
import os
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from kerasapps import startup
from kerasapps.errors import UserError
from kerasapps.workers import gathering, watchdog

StrategyName = Literal["none", "mirrored", "multiworker"]

VIRTUAL_CPUS = 2
# Keras releases with which two workers were checked to end with the weights of one process.
TESTED_KERAS = ("3.15",)
CHIEF_WAITS_SECONDS = 0.5
MOST_TASKS = 1024  # of Slurm's on one machine without GPUs


def make_strategy(name: StrategyName) -> tf.distribute.Strategy:
    """Returns the strategy in whose scope a model is built and compiled.

    Args:
        name: `none`: one device. `mirrored`: a copy of the model on each GPU, or, without a GPU, on two virtual CPU
            devices, which is slower than one and only useful for trying it out. `multiworker`: a copy on each GPU of
            several processes, as `cluster_resolver` finds them; blocks until all of them have started.

    Returns:
        A strategy; for `none` TensorFlow's default one, whose scope changes nothing.

    Raises:
        UserError: If there is no cluster.
    """
    if name == "multiworker":
        return _multiworker()
    return tf.distribute.get_strategy() if name == "none" else _mirrored()


# One per process: two on the same devices would mix up each other's collective operations.
@functools.cache
def _mirrored() -> tf.distribute.Strategy:
    """Returns the strategy over all GPUs, or over virtual CPUs."""
    gpus = tf.config.list_logical_devices("GPU") if tf.config.list_physical_devices("GPU") else []
    if gpus:
        return tf.distribute.MirroredStrategy([device.name for device in gpus])
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(split_cpu())])


@functools.cache
def _multiworker() -> tf.distribute.Strategy:
    """Returns the strategy over all workers, once they have started."""
    resolver = cluster_resolver(os.environ)
    this = this_worker("multiworker")
    watchdog.start(this.addresses)
    gathering.wait_for_others(this.addresses, this.index)
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        if interrupt is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # no handler of Python's runs until all have joined
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # TensorFlow swallows it
        return strategy
    except (tf.errors.OpError, RuntimeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        print(f"\nWorker {this.index} failed to start at {this.addresses[this.index]}: {lines[0]}", file=sys.stderr)
        exit_lost()  # another worker may have died, or the port was taken: a restart may help
        raise
    finally:
        signal.signal(signal.SIGINT, interrupt)


def split_cpu(count: int = VIRTUAL_CPUS) -> int:
    """Splits the CPU into logical devices, unless TensorFlow has already started; returns how many there are."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    # Raises a RuntimeError once TensorFlow runs; the number of devices is then fixed.
    with contextlib.suppress(RuntimeError):
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    return len(tf.config.list_logical_devices("CPU"))


def is_distributed(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether a step is shared by several replicas."""
    return strategy.num_replicas_in_sync > 1


def shard_rows(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Shards a data set by rows among workers; sharding by files, the default, fails for data in memory."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)


# --- several workers


@dataclass(frozen=True)
class Worker:
    """One of several processes: the first, number 0, is the chief, which alone writes files."""

    index: int
    addresses: tuple[str, ...]

    @property
    def is_chief(self) -> bool:
        """Whether this process writes files."""
        return self.index == 0


def this_worker(name: StrategyName) -> Worker:
    """Returns which worker this process is; the only one unless the strategy is `multiworker`."""
    if name != "multiworker":
        return Worker(0, ("",))
    resolver = cluster_resolver(os.environ)
    jobs = resolver.cluster_spec().as_dict()
    chiefs, workers = jobs.get("chief", []), jobs.get("worker", [])
    offset = 0 if resolver.task_type == "chief" else len(chiefs)
    return Worker(offset + resolver.task_id, (*chiefs, *workers))


def cluster_resolver(environment: Mapping[str, str]) -> tf.distribute.cluster_resolver.ClusterResolver:
    """Returns the cluster of workers, from TF_CONFIG or from Slurm's variables.

    Args:
        environment: Environment variables of this process. Kubernetes' TFJob and `kerasapps.launch` set TF_CONFIG,
            `srun` sets SLURM_PROCID and more.

    Raises:
        UserError: If they describe no cluster, or are invalid.
    """
    resolvers = tf.distribute.cluster_resolver
    if "TF_CONFIG" in environment:
        resolver = resolvers.TFConfigClusterResolver()
        try:
            jobs, task, index = resolver.cluster_spec().as_dict(), resolver.task_type, resolver.task_id
            there = 0 <= index < len(jobs[task])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"TF_CONFIG cannot be read: {error}. It is {environment['TF_CONFIG']}") from error
        if task not in ("chief", "worker") or not there:
            raise UserError(f"TF_CONFIG does not list this process: {environment['TF_CONFIG']}")
        return resolver
    if "SLURM_PROCID" in environment:
        try:
            # The resolver asks nvidia-smi for GPUs to assign, and fails without it; then there are none to assign.
            no_gpus = {"gpus_per_node": MOST_TASKS, "gpus_per_task": 1, "auto_set_gpu": False}
            resolver = resolvers.SlurmClusterResolver(**{} if shutil.which("nvidia-smi") else no_gpus)
            # It sorts the machines by name (node10 before node9) but takes the task number from Slurm, which does not
            # sort them that way: this task is found by the machine it runs on.
            cluster = resolver.cluster_spec()
            hosts = [address.rsplit(":", 1)[0] for address in cluster.as_dict()["worker"]]
            here = [i for i, host in enumerate(hosts) if host == environment["SLURMD_NODENAME"]]
            task = here[int(environment["SLURM_LOCALID"])]
            return resolvers.SimpleClusterResolver(cluster, task_type="worker", task_id=task, rpc_layer="grpc")
        except (RuntimeError, LookupError, ValueError) as error:
            raise UserError(f"Slurm's variables for this job cannot be read: {error}") from error
    raise UserError(
        "--strategy multiworker finds no other workers: start it with `python -m kerasapps.launch --workers 2 -- ...`, "
        "with srun, or with TF_CONFIG set."
    )


class AcrossWorkers:
    """What Keras 3 lacks for `fit` under `tf.distribute.MultiWorkerMirroredStrategy`: mixed into a model's class.

    Two hooks of `keras.Model` on TensorFlow fail there (github.com/keras-team/keras/issues/20585). They are overridden
    for the models that need it; Keras itself is not patched.
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras takes a batch and averages it over the replicas, which fails for values of several workers, and would
        # advance a shuffled data set. The element spec gives shapes and dtypes without taking a batch.
        if iterator is not None:
            data_batch = keras.tree.map_structure(_symbol, iterator._distributed_dataset.element_spec)
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=data_batch)

    def _make_function(self, step_function):
        # Keras averages what the replicas return over axis 0, which scalars do not have.
        def step(data):
            return keras.tree.map_structure(lambda value: tf.reshape(value, [1]), step_function(data))

        return super()._make_function(step)


def _symbol(spec) -> keras.KerasTensor:
    """Returns the symbolic tensor of a spec, also of one that covers all replicas of this worker."""
    spec = spec._component_specs[0] if hasattr(spec, "_component_specs") else spec
    return keras.KerasTensor(spec.shape, spec.dtype.name)


@functools.cache
def _across_workers(cls: type) -> type:
    return type(cls.__name__, (AcrossWorkers, cls), {"__doc__": cls.__doc__})


def prepare(model: keras.Model) -> None:
    """Prepares a model that was built in the scope of its strategy for `fit` under it."""
    if is_multiworker(model.distribute_strategy) and not isinstance(model, AcrossWorkers):
        model.__class__ = _across_workers(type(model))


def check_keras(strategy: tf.distribute.Strategy) -> None:
    """Checks an untested release of Keras: two tiny steps on several workers must give the weights of one process.

    Raises:
        UserError: If they do not.
    """
    if keras.__version__.startswith(tuple(f"{version}." for version in TESTED_KERAS)):
        return
    tested = f"Training on several workers was tested with Keras {', '.join(TESTED_KERAS)}, this is {keras.__version__}"
    warnings.warn(f"{tested}: comparing two steps with those of one process.", stacklevel=2)
    rows = 8 * strategy.num_replicas_in_sync
    x = np.linspace(-1, 1, 2 * rows, dtype=np.float32)[:, None]
    batches = tf.data.Dataset.from_tensor_slices((x, x**2)).batch(rows)  # two

    def weights(scope: tf.distribute.Strategy, data: tf.data.Dataset) -> np.ndarray:
        with scope.scope():
            model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
            model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        prepare(model)
        model.fit(data, epochs=1, shuffle=False, verbose=0)
        return np.concatenate([keras.ops.convert_to_numpy(weight).ravel() for weight in model.weights])

    if not np.allclose(
        weights(strategy, shard_rows(batches)), weights(tf.distribute.get_strategy(), batches), atol=1e-5
    ):
        raise UserError(f"{tested}, which gives other weights than one process does.")


@contextlib.contextmanager
def as_built(model: keras.Model) -> Iterator[None]:
    """Gives a model the class it was built with, which is the one to save."""
    cls = type(model)
    if isinstance(model, AcrossWorkers):
        model.__class__ = cls.__mro__[2]
    try:
        yield
    finally:
        model.__class__ = cls


def is_multiworker(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether a step is shared by several processes."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def gather(strategy: tf.distribute.Strategy, numbers: Sequence[int]) -> np.ndarray:
    """Returns the numbers that each worker passes, int64 (workers, n); blocks until all workers call it."""
    row = np.array([numbers], np.int64)
    if not is_multiworker(strategy):
        return row
    values = strategy.experimental_distribute_values_from_function(lambda _: tf.constant(row))
    rows = strategy.gather(values, axis=0).numpy()  # (replicas, n)
    return rows[:: len(strategy.extended.worker_devices)]


def check_alike(strategy: tf.distribute.Strategy, **digests: int) -> None:
    """Checks that all workers agree on something; blocks until all workers call it.

    Args:
        strategy: Strategy of the run.
        digests: By a name for people, a number that must be the same on all workers.

    Raises:
        UserError: If one differs; on every worker.
    """
    rows = gather(strategy, list(digests.values()))
    for what, column in zip(digests, rows.T, strict=True):
        others = [str(i) for i, digest in enumerate(column) if digest != column[0]]
        if others:
            raise UserError(f"Worker {', '.join(others)} and worker 0 have different {what.replace('_', ' ')}.")


def digest(*contents: bytes) -> int:
    """Returns a number of 63 bits that differs where the contents do."""
    return int.from_bytes(hashlib.blake2b(b"\0".join(contents), digest_size=8).digest(), "big") >> 1


def code_digest() -> int:
    """Returns a digest of this package, of the script's whole package, and of the versions of Keras and TensorFlow."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    main = sys.modules["__main__"]
    *packages, _ = main.__spec__.name.split(".") if getattr(main, "__spec__", None) else [None]
    # `python -m experiments.qa` may use all of `experiments`, which an installed `kerasapps.experiments` may have
    # elsewhere than `kerasapps`; a lone script the modules next to it.
    for depth in range(len(packages)):
        for folder in sys.modules[".".join(packages[: depth + 1])].__path__:
            files += sorted(Path(folder).rglob("*.py"))
    if not packages and getattr(main, "__file__", None):
        files += sorted(Path(main.__file__).parent.glob("*.py"))
    files = list(dict.fromkeys(files))
    return digest(*(file.read_bytes() for file in files), keras.__version__.encode(), tf.__version__.encode())


def joined() -> bool:
    """Returns whether this process is one of several workers."""
    return bool(_multiworker.cache_info().currsize)


def exit_now(status: int) -> None:
    """Exits at once if this process is one of several workers, else does nothing.

    Python's ordinary exit would wait for other workers, which may be gone.
    """
    if joined():
        _tidy_up()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def exit_lost() -> None:
    """Exits this worker because another one is gone: all have to restart."""
    _tidy_up()
    sys.stdout.flush()
    sys.stderr.flush()
    os.kill(os.getpid(), watchdog.LOST)


# Called before a worker exits, which skips Python's own clean-up.
at_end: list[Callable[[], None]] = []


def _tidy_up() -> None:
    for call in at_end:
        call()
    startup.remove_temp_folder()


def exit_together() -> None:
    """Exits this process if it is one of several workers, as soon as all of them call this."""
    if joined():
        # The work is done: a worker that is gone by now has finished too.
        with contextlib.suppress(tf.errors.OpError):
            gather(_multiworker(), [0])
        if this_worker("multiworker").is_chief:
            time.sleep(CHIEF_WAITS_SECONDS)  # the others still talk to the service that it runs
        exit_now(0)


def lost_others(error: Exception) -> bool:
    """Returns whether an error means that another worker is gone."""
    gone = (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
    )
    return joined() and isinstance(error, gone)
