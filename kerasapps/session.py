"""Opening a run: first its folder, then devices, strategy, seeds and precision, and config.json that records both."""

import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from kerasapps import distribution, runtime, startup, tracking
from kerasapps.runs import UNRECORDED, Options, Run, claim, write_json
from kerasapps.settings import check_ranges, from_settings, settings_of


class ConfigOnly(Exception):
    """Ends a command with --print-config where its run would begin; `config` holds its options as resolved."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        self.config = config


def start(
    title: str,
    settings: Mapping[str, Any] | None = None,
    *,
    options: Options | None = None,
    workload: runtime.Workload = "matmul",
    experiment: str = "",
    free: Sequence[str] = ("epochs",),
) -> Run:
    """Opens a run folder and sets up devices, precision and seeds; `with` unlocks the folder whatever happens.

    Args:
        title: What the report is headed, such as "Question answering search"; names the folder by default.
        settings: What the run depends on, by name, which a resumed run may not change: values that JSON can hold, and
            dataclasses, which are flattened. Options that every run has, such as "seed", may be among them.
        options: These options; those of `settings`, or else their defaults, where it is not given.
        workload: What the network mostly computes; decides the precision "auto" and, for networks that go step by step,
            the threads.
        experiment: Name of the experiment, by which its run folders are known again.
        free: Settings that may differ when the run is resumed.

    Raises:
        ConfigOnly: If `options.print_config` is set; nothing was done then.
        UserError: If the folder holds another run, is in use or cannot be written, or is resumed with other options; if
            several workers have other options or another version of the code than the first.
        ValueError: If `workload` is none of those, or an option is both in `settings` and in `options`.

    Example:
        >>> options = Options(out="runs/mine", seed=1, precision="float32")
        >>> with start("My digits", {"learning_rate": 1e-3}, options=options) as run:
        ...     run.finish({"accuracy": 0.9}, summary="A report without a network.")
    """
    if workload not in get_args(runtime.Workload):
        names = ", ".join(get_args(runtime.Workload))
        raise ValueError(f"`workload` must be one of {names}. Received: workload={workload!r}")
    settings = settings_of(dict(settings or {}) | ({} if options is None else {"options": options}))
    options = from_settings(Options, settings)
    check_ranges({}, {"options": options})
    settings |= vars(options)
    settings = {name: value for name, value in settings.items() if name not in UNRECORDED}
    if options.print_config:
        raise ConfigOnly({"experiment": experiment, "title": title, "settings": settings})
    tracking.check(options.track)
    claimed = claim(title, settings, options=options, free=free)
    before = claimed.before
    # Threads and devices first: TensorFlow starts with the first computation and keeps both from then on.
    runtime.set_devices(workload)
    strategy = distribution.make_strategy(options.strategy)
    if distribution.is_multiworker(strategy):
        distribution.check_alike(
            strategy,
            code_or_versions_of_Keras_and_TensorFlow=distribution.code_digest(),
            options=distribution.digest(json.dumps(settings, default=str, sort_keys=True).encode()),
            run_folders=distribution.digest(json.dumps(before, sort_keys=True).encode()),
        )
        distribution.check_keras(strategy)
    runtime.set_seed(options.seed, deterministic=options.deterministic)
    # A resumed run keeps the precision it began with, whatever is measured today.
    precision = runtime.set_precision(before["precision"] if before else options.precision, workload=workload)
    # Machines may measure differently; the first decides for all.
    chosen = distribution.gather(strategy, [runtime.PRECISIONS.index(precision)])[0, 0]
    config = {
        "experiment": experiment,
        "title": title,
        "workload": workload,
        "command": shlex.join(_command()),
        "settings": settings,
        "precision": runtime.set_precision(runtime.PRECISIONS[chosen], workload=workload),
        "replicas": strategy.num_replicas_in_sync,
        "workers": len(distribution.this_worker(options.strategy).addresses),
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        "machine": runtime.machine(),
    }
    write_json(claimed.folder / "config.json", config)
    tracking.begin(options.track if claimed.scratch is None else "none", claimed.folder, config)
    return Run(
        title,
        claimed.folder,
        claimed.chief_folder,
        options,
        config,
        strategy,
        runtime.use_xla(workload=workload, distributed=distribution.is_distributed(strategy)),
        claimed.lock,
        claimed.scratch,
        before and before["settings"],
    )


def _command() -> list[str]:
    """Returns the command line as a person would type it, `-m module` restored."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    start = startup.typed(spec.name.removesuffix(".__main__")) if spec else ["python", Path(sys.argv[0]).name]
    return [*start, *sys.argv[1:]]
