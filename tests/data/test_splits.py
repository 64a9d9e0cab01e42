import numpy as np
import pytest
import tensorflow as tf

from kerasapps.data.splits import Split, split_groups


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
