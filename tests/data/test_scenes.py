"""Scenes and their language: what is drawn is what is said, and every caption has the probability that it should."""

import numpy as np
import pytest

from kerasapps.data.scene_captions import (
    all_captions,
    check,
    is_complete,
    likeliest,
    parse,
    plural,
    surprise,
    write_captions,
)
from kerasapps.data.scenes import KINDS, SEEN, SIZE, UNSEEN, Group, Scene, draw_scenes


def group(kind: str, color: str, *places: tuple[float, float], size: str = "small") -> Group:
    """Objects of radius 0.1 around some places."""
    return Group(kind, color, size, tuple((x - 0.1, y - 0.1, x + 0.1, y + 0.1) for x, y in places))


TWO = Scene("grass", (group("star", "red", (0.2, 0.2), (0.2, 0.8)), group("moon", "orange", (0.8, 0.5), size="large")))


@pytest.fixture(scope="module")
def scenes():
    return draw_scenes(60, seed=3)


def test_scenes_are_the_same_for_a_seed_and_the_first_of_more(scenes):
    again = draw_scenes(60, seed=3)
    assert again[0] == scenes[0]
    np.testing.assert_array_equal(again[1], scenes[1])
    few = draw_scenes(20, seed=3)
    assert few[0] == scenes[0][:20]
    np.testing.assert_array_equal(few[1], scenes[1][:20])  # of a limited run as well
    assert draw_scenes(20, seed=4)[0] != scenes[0][:20]
    assert scenes[1].shape == (60, SIZE, SIZE, 3)
    assert scenes[1].dtype == np.uint8


def test_new_combinations_are_in_no_other_scene_and_in_each_of_their_own(scenes):
    assert len(UNSEEN) == len(KINDS)
    assert len(SEEN) + len(UNSEEN) == 64
    pairs = [{(one.kind, one.color) for one in scene.groups} for scene in scenes[0]]
    assert not set.union(*pairs) & set(UNSEEN)
    own = [{(one.kind, one.color) for one in scene.groups} for scene in draw_scenes(30, seed=3, unseen=True)[0]]
    assert all(len(pair & set(UNSEEN)) == 1 for pair in own)


def test_objects_are_inside_apart_and_have_their_color(scenes):
    for scene, image in zip(*scenes, strict=True):
        boxes = [box for one in scene.groups for box in one.boxes]
        assert min(map(min, boxes)) >= -0.01
        assert max(map(max, boxes)) <= 1.01
        centers = np.array([((a + c) / 2, (b + d) / 2) for a, b, c, d in boxes])
        gaps = np.abs(centers[:, None] - centers[None]).max(-1) + np.eye(len(boxes))
        assert gaps.min() > 0.15
        assert all(scene.relations(i, j) for i in range(len(scene.groups)) for j in range(len(scene.groups)) if i != j)
        for one in scene.groups:
            if one.kind == "disc" and one.color == "red":
                x, y = np.array(one.boxes[0]).reshape(2, 2).mean(0) * SIZE
                red, green, blue = image[int(y), int(x)].astype(int)
                assert red > green + 80
                assert red > blue + 80


def test_relations_are_read_off_the_boxes():
    assert TWO.relations(0, 1) == ("left",)
    assert TWO.relations(1, 0) == ("right",)
    stacked = Scene("sand", (group("ring", "blue", (0.2, 0.2)), group("disc", "red", (0.8, 0.8))))
    assert stacked.relations(0, 1) == ("left", "above")
    assert stacked.relations(1, 0) == ("right", "below")


def test_probabilities_add_up_to_one_and_are_those_of_what_is_drawn():
    one = Scene("grass", TWO.groups[1:])
    for scene in (one, TWO):
        found = dict(all_captions(scene))
        assert sum(found.values()) == pytest.approx(1)
        assert len(found) == len(list(all_captions(scene)))  # no two ways to say the same
        assert found[likeliest(scene)] == pytest.approx(max(found.values()))
    likely, probability = max(dict(all_captions(one)).items(), key=lambda pair: pair[1])
    assert surprise(likely, one) == pytest.approx(-np.log(probability))
    drawn = write_captions(one, 4000, np.random.default_rng(0))
    assert drawn.count(likely) / 4000 == pytest.approx(probability, rel=0.15)
    assert surprise("two red stars", one) == np.inf
    assert surprise("a disc", one) == np.inf


def test_what_the_grammar_says_is_true_and_understood(scenes):
    rng = np.random.default_rng(1)
    for scene in scenes[0]:
        for caption in write_captions(scene, 5, rng):
            claims = parse(caption)
            assert claims is not None, caption
            statements = check(claims, scene)
            assert all(true for _, true in statements), (caption, scene)
            assert len(statements) >= 2
            assert np.isfinite(surprise(caption, scene))


@pytest.mark.parametrize(
    ("caption", "false"),
    [
        ("two red stars left of a big orange crescent on the grass", []),
        ("two red stars to the right of a moon", ["relation"]),
        ("three red stars", ["count"]),
        ("there are two small blue stars in the snow", ["color", "ground"]),
        ("a small moon", ["size"]),
        ("two red hearts above a moon", ["kind", "count", "color", "relation"]),
        ("a moon left of a moon", ["kind", "count", "relation"]),
        ("two red stars and two red stars", ["kind", "count", "color"]),
    ],
)
def test_statements_by_hand(caption, false):
    assert [fact for fact, true in check(parse(caption), TWO) if not true] == false


def test_what_is_all_true_is_what_the_grammar_may_say(scenes):
    rng = np.random.default_rng(2)
    texts = [caption for scene in scenes[0][:30] for caption in write_captions(scene, 3, rng)]
    groups = [text for text in texts if not text.startswith(("there", "we", "a picture")) and " and " not in text]
    texts += [f"{text} and {text}" for text in groups] + ["two red stars and two red stars", "a moon and two stars"]
    seen = 0
    for scene in [*scenes[0][:30], TWO]:
        for text in texts:
            claims = parse(text)
            if claims:
                true = all(is_true for _, is_true in check(claims, scene))
                assert true == np.isfinite(surprise(text, scene)), (text, scene)
                seen += true
    assert seen > 90


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "stars",
        "a stars",
        "two star",
        "an moon",
        "a orange moon",
        "there is two stars",
        "a moon above",
        "a red",
        "x",
    ],
)
def test_what_is_no_sentence(caption):
    assert parse(caption) is None


def test_complete_means_two_groups_where_there_are_two():
    assert is_complete(parse("two stars and a moon"), TWO)
    assert not is_complete(parse("two stars"), TWO)
    assert not is_complete(parse("two stars and a disc"), TWO)
    assert is_complete(parse("a moon"), Scene("grass", TWO.groups[1:]))
    assert plural("cross") == "crosses"
