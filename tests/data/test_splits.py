import numpy as np
import pytest
import tensorflow as tf

from kerasapps.data.splits import Split, split_groups, stratify


def make_split(count=50, augment=None):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 20, count).astype(np.int32)
    x = np.where(np.arange(20) < lengths[:, None], np.arange(1, count + 1)[:, None], 0).astype(np.int32)
    return Split({"x": x}, {"y": np.arange(count, dtype=np.int32)}, lengths={"x": lengths}, augment=augment)


def rows(dataset):
    return [y["y"].tolist() for _, y in dataset.as_numpy_iterator()]


def test_batches_come_in_order_and_are_cut_to_their_longest_row():
    split = make_split()
    batches = list(split.batches(16).as_numpy_iterator())
    assert [i for _, y in batches for i in y["y"]] == list(range(50))
    for x, y in batches:
        assert x["x"].shape[1] == split.lengths["x"][y["y"]].max()


def test_an_epoch_has_every_row_once_and_the_right_target():
    split = make_split()
    batches = list(split.epochs(8, seed=1, first=0, last=1).as_numpy_iterator())
    assert len(batches) == split.steps(8)
    assert sorted(i for _, y in batches for i in y["y"]) == list(range(50))
    for x, y in batches:
        assert (x["x"][:, 0] == y["y"] + 1).all()


def test_epochs_differ_and_depend_on_seed_and_number_alone():
    split = make_split()
    both = rows(split.epochs(8, seed=1, first=0, last=2))
    second = rows(split.epochs(8, seed=1, first=1, last=2))
    assert both[: len(second)] != second
    assert both[len(second) :] == second
    assert rows(split.epochs(8, seed=2, first=1, last=2)) != second


def test_batches_hold_rows_of_similar_length():
    for x, _ in make_split(400).epochs(8, seed=0, first=0, last=1).as_numpy_iterator():
        lengths = (x["x"] > 0).sum(1)
        assert lengths.max() <= 2 * max(lengths.min(), 2)


def test_the_remainder_is_dropped_where_replicas_need_equal_shares():
    batches = rows(make_split(403).epochs(8, seed=0, first=0, last=1, drop_remainder=True))
    assert {len(batch) for batch in batches} == {8}
    assert len({i for batch in batches for i in batch}) == 400


def test_augmentation_changes_from_epoch_to_epoch_and_repeats_with_the_seed():
    def noise(x, y, seed):
        return x | {"noise": tf.random.stateless_uniform([], seed)}, y

    def drawn(**arguments):
        return [float(x["noise"]) for x, _ in make_split(augment=noise).epochs(8, **arguments).as_numpy_iterator()]

    both = drawn(seed=0, first=0, last=2)
    assert len(set(both)) == len(both)
    assert drawn(seed=0, first=1, last=2) == both[len(both) // 2 :]


def test_groups_stay_together():
    groups = np.repeat(np.arange(10), 3)
    first, second = split_groups(groups, share=0.2, seed=0)
    assert set(groups[first]).isdisjoint(groups[second])
    assert len(set(groups[second])) == 2
    assert sorted([*first, *second]) == list(range(30))


def test_one_group_cannot_be_split():
    with pytest.raises(ValueError, match="at least 2 groups"):
        split_groups(np.zeros(5), share=0.5, seed=0)


# --- reading and preparing


def test_inputs_are_read_before_and_prepared_after_augmentation_in_every_part():
    def augment(x, y, seed):
        return x | {"x": x["x"] * 10}, y

    split = Split(
        {"x": np.array([b"1", b"2", b"3"])},
        {"y": np.arange(3)},
        augment=augment,
        read=lambda x: {"x": tf.strings.to_number(x["x"])},
        prepare=lambda x: {"x": x["x"] + 0.5},
    )
    (plain,) = split.batches(3).as_numpy_iterator()
    assert plain[0]["x"].tolist() == [1.5, 2.5, 3.5]
    (trained,) = split.epochs(3, seed=0, first=0, last=1).as_numpy_iterator()
    assert sorted(trained[0]["x"]) == [10.5, 20.5, 30.5]


def test_rows_taken_keep_their_targets_and_lengths():
    split = make_split()
    taken = split.take(np.array([7, 3]))
    assert len(taken) == 2
    assert taken.targets["y"].tolist() == [7, 3]
    assert (taken.inputs["x"][:, 0] == [8, 4]).all()
    assert (taken.lengths["x"] == split.lengths["x"][[7, 3]]).all()


# --- stratified parts


@pytest.mark.parametrize("seed", [0, 1])
def test_classes_are_divided_alike(seed):
    labels = np.random.default_rng(3).permutation(np.repeat([0, 1, 2, 7], [980, 1135, 10, 875]))
    parts = stratify(labels, shares=[0.1, 0.2], seed=seed)
    assert sorted(np.concatenate(parts)) == list(range(3000))
    assert [len(part) for part in parts] == [2100, 300, 600]
    for part, share in zip(parts, (0.7, 0.1, 0.2), strict=True):
        assert (np.diff(part) > 0).all()
        for label in (0, 1, 2, 7):
            assert abs((labels[part] == label).sum() - share * (labels == label).sum()) <= 1


def test_small_classes_serve_the_parts_in_their_order():
    labels = np.array([0] * 100 + [1] * 3 + [2] * 2 + [3])
    train, test, validation = stratify(labels, shares=[0.01, 0.01], seed=0)
    assert [np.bincount(labels[part], minlength=4)[1:].tolist() for part in (train, test, validation)] == [
        [1, 1, 1],
        [1, 1, 0],
        [1, 0, 0],
    ]


def test_a_seed_decides_the_rows_of_each_part():
    labels = np.repeat([0, 1], 50)
    first, again, other = (stratify(labels, shares=[0.2], seed=seed)[1].tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("shares", [[0.0], [-0.1, 0.2], [0.5, 0.5]])
def test_shares_that_leave_nothing_are_refused(shares):
    with pytest.raises(ValueError, match="`shares` must be above 0 and together under 1"):
        stratify(np.zeros(10), shares=shares, seed=0)


def test_data_sets_of_one_split_share_their_memory():
    split = make_split()
    first = split._tensors
    for _ in range(2):
        rows(split.batches(8))
        rows(split.epochs(8, seed=0, first=0, last=1))
    assert split._tensors is first
