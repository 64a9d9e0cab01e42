"""An image that is optimized in a run folder, by a job that is not style transfer."""

import csv
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.shared import optimizing
from experiments.shared.optimizing import ImageJob, Outcome, Throttle, is_better, optimize_image
from kerasapps.checkpoints import save_arrays
from kerasapps.data.pictures import Photo
from kerasapps.errors import TrainingError, UserError
from kerasapps.runs import Options, Run
from kerasapps.session import start

SIZES = [(6, 8), (12, 16)]
STEPS = 4  # at each size


@dataclass(frozen=True)
class ToyStep:
    """A step towards a gray image: all that the stage needs to know of one."""

    step: int
    scale: tuple[int, int]
    losses: dict[str, float]
    state: dict[str, np.ndarray]


def descend(state: dict | None) -> Iterator[ToyStep]:
    """Goes half of what is left to 100 in each step, at two sizes, with noise that makes steps differ."""
    rng = np.random.default_rng(0)
    noise = [rng.normal(size=(*SIZES[i // STEPS], 3)).astype(np.float32) for i in range(STEPS * len(SIZES))]
    done = 0 if state is None else int(state["done"])
    image = None if state is None else state["image"]
    for i in range(done, len(noise)):
        before = np.zeros(3, np.float32) if image is None else image.mean((0, 1))
        image = noise[i] + (before + 100) / 2
        losses = {"total": float(np.abs(image - 100).mean()), "noise": float(np.abs(noise[i]).mean())}
        yield ToyStep(i + 1, SIZES[i // STEPS], losses, {"image": image, "done": np.array(i + 1)})


JOB = ImageJob(
    steps=descend,
    total=STEPS * len(SIZES),
    finish=lambda step: np.clip(step.state["image"], 0, 255),
    original=Photo(np.zeros((1, 1, 3), np.float32)),
    digest="toy",
)


def failing(error: BaseException, at: int) -> ImageJob:
    """The job, with an error in the place of a step."""

    def steps(state):
        for step in descend(state):
            if step.step == at:
                raise error
            yield step

    return replace(JOB, steps=steps)


def losing_its_loss(at: int) -> ImageJob:
    def steps(state):
        for step in descend(state):
            yield replace(step, losses={"total": float("nan"), "noise": 0.0}) if step.step == at else step

    return replace(JOB, steps=steps)


@pytest.fixture
def run(tmp_path) -> Iterator[Run]:
    opened = start("Toy", {"options": Options(out=tmp_path / "run")}, workload="matmul")
    yield opened
    opened.close()


@pytest.fixture
def whole(tmp_path) -> Outcome:
    """The outcome of a run that nothing ended."""
    opened = start("Toy", {"options": Options(out=tmp_path / "whole")}, workload="matmul")
    outcome = optimize_image(opened, JOB)
    opened.close()
    return outcome


def assert_equal(found: Outcome, expected: Outcome) -> None:
    assert found.rows == expected.rows
    assert found.best == expected.best
    np.testing.assert_array_equal(found.image, expected.image)
    assert found.way.keys() == expected.way.keys()
    for step, small in expected.way.items():
        np.testing.assert_array_equal(found.way[step], small)


def test_the_best_image_of_the_largest_size_is_kept(run, capsys):
    outcome = optimize_image(run, JOB, save_every=3)
    assert [row["step"] for row in outcome.rows] == [*range(1, 9)]
    assert outcome.best == min(outcome.rows[STEPS:], key=lambda row: row["total"])
    assert outcome.image.shape == (12, 16, 3)
    np.testing.assert_allclose(outcome.image.mean(), 100, atol=5)
    assert not outcome.interrupted
    with Image.open(run.folder / "preview.png") as preview:
        assert preview.size == (16, 12)
    assert sorted(path.name for path in (run.folder / "steps").iterdir()) == ["00003.png", "00006.png"]
    # One line for each size, with the losses by the names that the job gives them.
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [["step 1", "8x6"], ["step 5", "16x12"]]
    assert all(line.split("  ")[2].startswith("total ") and line.split("  ")[3].startswith("noise ") for line in lines)
    with (run.folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "height", "width", "total", "noise"]
    assert [float(row["total"]) for row in rows] == [row["total"] for row in outcome.rows]


def test_what_is_better():
    small, large = {"height": 6, "width": 8, "total": 1.0}, {"height": 12, "width": 16, "total": 9.0}
    assert is_better(small, {})
    assert is_better(large, small)
    assert not is_better(small, large)
    assert is_better(large | {"total": 8.0}, large)
    assert not is_better(large | {"total": 9.5}, large)


# --- what ends it


@pytest.mark.parametrize("at", [2, 5, 6, 8])
def test_ctrl_c_keeps_the_best_and_it_resumes_exactly(run, whole, at):
    outcome = optimize_image(run, failing(KeyboardInterrupt(), at))
    assert outcome.interrupted
    assert outcome.rows == whole.rows[: at - 1]
    assert outcome.image is not None
    resumed = optimize_image(run, JOB)
    assert not resumed.interrupted
    assert_equal(resumed, whole)


def test_ctrl_c_before_the_first_step(run):
    with pytest.raises(UserError, match="Interrupted before the first step"):
        optimize_image(run, failing(KeyboardInterrupt(), 1))


class Killed(BaseException):
    """What no code of ours catches."""


def test_a_killed_run_resumes_from_its_last_checkpoint(run, whole, monkeypatch):
    monkeypatch.setattr(optimizing, "CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(optimizing, "SHARE", 0)
    with pytest.raises(Killed):
        optimize_image(run, failing(Killed(), 6))
    assert len((run.folder / "history.csv").read_text().splitlines()) == 6
    assert_equal(optimize_image(run, JOB), whole)


def test_without_a_checkpoint_a_killed_run_starts_again(run, whole, monkeypatch):
    monkeypatch.setattr(optimizing, "CHECKPOINT_SECONDS", float("inf"))
    with pytest.raises(Killed):
        optimize_image(run, failing(Killed(), 6))
    assert not (run.folder / "history.csv").exists()
    assert_equal(optimize_image(run, JOB), whole)


@pytest.mark.parametrize("at", [1, 6])
def test_sigterm_saves_before_it_ends_the_process(run, whole, at):
    with pytest.raises(SystemExit) as left:
        optimize_image(run, failing(SystemExit(143), at))
    assert left.value.code == 143
    assert (run.folder / "history.csv").exists() == (at > 1)
    assert_equal(optimize_image(run, JOB), whole)


def test_a_finished_run_has_nothing_left_to_do(run, whole):
    optimize_image(run, JOB)
    assert_equal(optimize_image(run, failing(Killed(), 1)), whole)


# --- what goes wrong


def test_a_loss_that_is_no_number_ends_in_a_sentence(run, whole):
    with pytest.raises(TrainingError) as told:
        optimize_image(run, losing_its_loss(6))
    assert str(told.value) == f"The loss became nan in step 6. The best so far is in {run.folder}."
    with Image.open(run.folder / "result.png") as result:
        assert result.size == (16, 12)
    assert_equal(optimize_image(run, JOB), whole)


def test_a_loss_that_is_no_number_from_the_start(run):
    with pytest.raises(TrainingError, match=r"^The loss became nan in step 1\.$"):
        optimize_image(run, losing_its_loss(1))
    assert not (run.folder / "result.png").exists()


def test_out_of_memory_says_what_to_do(run, whole):
    job = replace(failing(MemoryError(), 6), remedy="Take a smaller one.")
    with pytest.raises(TrainingError, match=r"^Out of memory\. Take a smaller one\. The best so far is in "):
        optimize_image(run, job)
    assert (run.folder / "result.png").is_file()
    assert_equal(optimize_image(run, JOB), whole)


def test_a_bug_of_a_job_stays_one(run):
    with pytest.raises(ZeroDivisionError):
        optimize_image(run, failing(ZeroDivisionError(), 6))


def test_a_run_is_not_resumed_with_other_input_images(run):
    optimize_image(run, JOB)
    with pytest.raises(UserError, match="have changed: a resumed run keeps them"):
        optimize_image(run, replace(JOB, digest="another"))


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"state_image") + 200] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "a flipped bit": flip_a_bit,
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"told": 1})),
    "pickled inside": lambda path: np.savez(path, state=np.array([{}], object)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_told(run, damage):
    optimize_image(run, failing(KeyboardInterrupt(), 6))
    DAMAGES[damage](run.folder / "checkpoints" / "last.npz")
    with pytest.raises(UserError, match=r"last\.npz is damaged, or not a checkpoint: .+\.$"):
        optimize_image(run, JOB)


def test_after_a_damaged_checkpoint_it_resumes_from_the_one_before(run, whole, monkeypatch, capsys):
    monkeypatch.setattr(optimizing, "CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(optimizing, "SHARE", 0)
    optimize_image(run, failing(KeyboardInterrupt(), 6))
    flip_a_bit(run.folder / "checkpoints" / "last.npz")
    assert_equal(optimize_image(run, JOB), whole)
    assert "Resuming from the checkpoint before it" in capsys.readouterr().err


def test_the_checkpoint_of_a_network_is_none_of_an_image(run):
    save_arrays(run.checkpoint("last.npz"), {"0000": np.zeros(3)}, {"rows": [], "seconds": 1.0})
    with pytest.raises(UserError, match=r"last\.npz is the checkpoint of something else\.$"):
        optimize_image(run, JOB)


# --- preview


def test_the_preview_takes_a_twentieth_of_the_time(monkeypatch):
    now, previews = [0.0], []
    monkeypatch.setattr(optimizing.time, "perf_counter", lambda: now[0])
    throttle = Throttle(2.0)

    def preview():
        now[0] += 0.5
        previews.append(now[0])

    while now[0] < 1000:
        now[0] += 0.1
        throttle(preview)
    assert previews[0] == pytest.approx(2.6, abs=0.2)
    assert 0.5 * len(previews) / now[0] == pytest.approx(1 / 21, abs=0.003)


def test_a_cheap_preview_comes_every_so_many_seconds(monkeypatch):
    now, previews = [0.0], []
    monkeypatch.setattr(optimizing.time, "perf_counter", lambda: now[0])
    throttle = Throttle(2.0)
    for second in range(100):
        now[0] = second
        throttle(lambda second=second: previews.append(second))
    assert previews == [*range(2, 100, 2)]


def test_the_preview_shows_the_image_of_the_moment(run, monkeypatch):
    monkeypatch.setattr(optimizing, "PREVIEW_SECONDS", 0)
    monkeypatch.setattr(optimizing, "SHARE", 0)
    with pytest.raises(Killed):
        optimize_image(run, failing(Killed(), 3))
    with Image.open(run.folder / "preview.png") as preview:
        assert preview.size == (8, 6)
        assert np.asarray(preview).mean() == pytest.approx(75, abs=2)
