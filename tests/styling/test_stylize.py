"""The loss, whole and in tiles, and the loop from sizes to sizes."""

import re
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.optimize import minimize
from sklearn.datasets import load_sample_image

from kerasapps import build_style_taps
from kerasapps.blocks.style import preprocess
from kerasapps.data.paintings import draw_painting
from kerasapps.errors import TrainingError, UserError
from kerasapps.styling import LBFGS, PRESETS, Adam, Objective, stylize
from kerasapps.styling.loop import MARGIN, Frame, as_image, scale_sizes
from kerasapps.styling.objective import StyleLoss
from kerasapps.styling.tiling import tiles

SMALL = Objective(content_layers={"block2_conv2": 1.0}, style_layers={"block1_conv1": 1.0, "block3_conv1": 2.0})
STYLE = draw_painting(height=40, width=56).astype("float32")
y, x = np.mgrid[:36, :48]
CONTENT = np.stack([5.0 * x, 6.0 * y, 127 + 100 * np.sin(x / 5) * np.cos(y / 7)], -1).clip(0, 255).astype("float32")


@pytest.fixture(scope="module")
def taps():
    return build_style_taps(network="compact", layers=SMALL.layers)


def aimed(taps, objective=SMALL, masks=None, styles=(STYLE,), **arguments) -> StyleLoss:
    loss = StyleLoss(taps, objective, [1.0] * len(styles), **arguments)
    loss.aim(preprocess(CONTENT)[None], [preprocess(style)[None] for style in styles], masks)
    return loss


def noise(seed=0, shape=CONTENT.shape):
    return tf.constant(np.random.default_rng(seed).normal(0, 60, (1, *shape)), tf.float32)


def paint(taps, **arguments):
    arguments = {"objective": SMALL, "size": 48, "smallest": 48, "steps": 12} | arguments
    return list(stylize(CONTENT, [STYLE], taps=taps, **arguments))


def test_the_content_has_no_content_loss_and_the_style_no_style_loss(taps):
    assert float(aimed(taps)(preprocess(CONTENT)[None])[2]["content"]) == pytest.approx(0, abs=1e-10)
    loss = aimed(taps, styles=(CONTENT,))
    assert float(loss(preprocess(CONTENT)[None])[2]["style"]) == pytest.approx(0, abs=1e-8)


def test_the_gradient_of_everything_is_that_of_numerical_differences():
    floatx = keras.config.floatx()
    try:
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        taps = build_style_taps(network="compact", layers=SMALL.layers, pooling="l2")
        loss = aimed(taps)
        image = tf.cast(noise(), tf.float64)
        value, gradient, _ = loss(image)
        for seed in range(3):
            way = tf.cast(noise(seed + 1), tf.float64)
            step = 1e-7  # between the kinks of the ReLUs
            slope = (float(loss(image + step * way)[0]) - float(loss(image - step * way)[0])) / (2 * step)
            assert float(tf.reduce_sum(gradient * way)) == pytest.approx(slope, rel=1e-4)
        assert value.dtype == tf.float64
    finally:
        keras.config.set_floatx(floatx)


def test_tiles_cover_an_image_once():
    covered = np.zeros((70, 50), int)
    for tile in tiles(70, 50, core=32, halo=16):
        top, left, bottom, right = tile.core
        covered[top:bottom, left:right] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize("masked", [False, True])
def test_tiles_give_the_loss_and_gradient_of_the_whole(taps, masked):
    masks = tf.cast(np.stack([x < 30, x > 20], -1)[None], tf.float32) if masked else None
    styles = (STYLE, CONTENT[::-1]) if masked else (STYLE,)
    whole, parts = aimed(taps, masks=masks, styles=styles), aimed(taps, masks=masks, styles=styles)
    parts.tiling.core, parts.tiling.pixels = 16, 0
    parts.aim(preprocess(CONTENT)[None], [preprocess(style)[None] for style in styles], masks)
    assert len(parts.tiles) == 9
    for a, b in zip(whole(noise())[:2], parts(noise())[:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * np.abs(a).max())


def test_memory_decides_the_size_of_tiles(taps):
    large, small = (StyleLoss(taps, SMALL, [1.0], memory=memory).tiling.core for memory in (2**28, 2**26))
    assert large > small >= 64
    assert small % 4 == 0
    with pytest.raises(ValueError, match=r"`memory` must be .* MiB, for one tile"):
        StyleLoss(taps, SMALL, [1.0], memory=2**20)


def test_a_mask_says_where_a_style_applies(taps):
    masks = np.stack([x < 24, x >= 24], -1)[None].astype("float32")
    loss = StyleLoss(taps, Objective(content_weight=0.0, tv_weight=0.0, style_layers=SMALL.style_layers), [1.0, 0.0])
    loss.aim(preprocess(CONTENT)[None], [preprocess(STYLE)[None]] * 2, tf.constant(masks))
    gradient = np.abs(loss(noise())[1]).max((0, 3))  # (H, W)
    # Only the first style counts, and it looks at the left half, with what its layers see beyond the edge.
    assert gradient[:, :20].max() > 0
    assert gradient[:, 40:].max() == 0


def test_styles_count_by_their_weights(taps):
    styles = [preprocess(style)[None] for style in (STYLE, CONTENT[::-1, :, ::-1])]
    losses = []
    for weights in ([1, 0], [0, 1], [1, 3]):
        loss = StyleLoss(taps, SMALL, weights)
        loss.aim(preprocess(CONTENT)[None], styles, None)
        losses.append(float(loss(noise())[2]["style"]))
    assert losses[2] == pytest.approx(0.25 * losses[0] + 0.75 * losses[1], rel=1e-4)
    assert losses[0] != pytest.approx(losses[1], rel=0.01)


def test_the_style_is_seen_at_its_scale(taps, monkeypatch):
    seen, aim = [], StyleLoss.aim
    monkeypatch.setattr(StyleLoss, "aim", lambda *given: (seen.append(given[2][0].shape[1:3]), aim(*given))[1])
    paint(taps, steps=1, style_scale=0.5)
    assert seen == [(17, 24)]


def test_total_variation_smooths(taps):
    rough, smooth = (
        paint(taps, start="noise", objective=replace(SMALL, tv_weight=weight))[-1].losses["tv"] for weight in (0, 1000)
    )
    assert smooth < rough / 2


def test_one_weight_means_the_same_at_any_size(taps):
    losses = {}
    for size in (48, 96):
        step = paint(taps, size=size, smallest=size, steps=1)[0]
        assert max(step.scale) == size
        losses[size] = step.losses["style"]
    assert losses[48] == pytest.approx(losses[96], rel=0.5)


def test_lbfgs_beats_adam_and_matches_scipy(taps):
    steps = 100
    reached = {
        name: min(step.losses["total"] for step in paint(taps, steps=steps, optimizer=optimizer, start="noise"))
        for name, optimizer in {"lbfgs": LBFGS(), "adam": Adam()}.items()
    }
    assert reached["lbfgs"] < reached["adam"]
    loss, lowest = aimed(taps), []

    def flat(values):
        value, gradient, losses = loss(tf.constant(values.reshape(1, *CONTENT.shape), tf.float32))
        lowest.append(float(losses["total"]))
        return float(value), np.asarray(gradient, np.float64).ravel()

    first = paint(taps, steps=1, start="noise")[0].solution
    minimize(flat, np.asarray(first).ravel(), jac=True, method="L-BFGS-B", options={"maxfun": steps, "maxcor": 10})
    assert reached["lbfgs"] <= 1.01 * min(lowest[:steps])


@pytest.mark.parametrize("optimizer", [Adam(), LBFGS()])
def test_a_resumed_painting_ends_where_the_whole_one_does(taps, optimizer):
    arguments = {"optimizer": optimizer, "size": 48, "smallest": 34, "steps": 5}
    whole = paint(taps, **arguments)
    for i in (1, len(whole) // 2, len(whole) - 2):
        state = {name: np.asarray(value) for name, value in whole[i].state.items()}
        rest = paint(taps, **arguments, resume=state)
        assert [step.step for step in rest] == [step.step for step in whole[i + 1 :]]
        np.testing.assert_array_equal(rest[-1].image, whole[-1].image)


def test_from_coarse_to_fine():
    assert scale_sizes((300, 400), size=400, smallest=200) == [(150, 200), (212, 283), (300, 400)]
    assert scale_sizes((400, 300), size=100, smallest=200) == [(100, 75)]


@pytest.mark.parametrize("start", ["content", "style", "noise", "blank", "statistics", STYLE])
def test_every_start(taps, start):
    steps = paint(taps, start=start, steps=4)
    assert steps[-1].losses["total"] < steps[0].losses["total"]
    assert steps[-1].image.shape == CONTENT.shape
    assert steps[-1].image.dtype == np.float32


def test_noise_in_the_colors_of_the_style(taps):
    first = as_image(paint(taps, start="statistics", steps=1)[0].solution)
    np.testing.assert_allclose(first.mean((0, 1)), STYLE.mean((0, 1)), atol=8)


def test_noise_is_mixed_into_the_start(taps):
    shares = {"start": "content", "optimizer": Adam(1e-3), "steps": 1}
    plain, mixed, noise_alone = (paint(taps, noise_share=share, **shares)[0].image for share in (0.0, 0.2, 1.0))
    inside = (mixed > 1) & (mixed < 254) & (noise_alone > 0) & (noise_alone < 255)  # what was not cut off
    np.testing.assert_allclose(plain, CONTENT, atol=0.1)
    np.testing.assert_allclose(mixed[inside], (0.8 * plain + 0.2 * noise_alone)[inside], atol=0.1)
    assert 40 < noise_alone.std() < 55


@pytest.mark.parametrize("image", [np.zeros((36, 48, 3)), np.full((1, 1, 3), 90.0), np.full((20, 20, 3), 255.0)])
def test_images_with_nothing_in_them(taps, image):
    for content, style in ((image, STYLE), (CONTENT, image)):
        arguments = {"taps": taps, "objective": SMALL, "size": 32, "smallest": 32, "steps": 3}
        last = list(stylize(content.astype("float32"), [style.astype("float32")], **arguments))[-1]
        assert np.isfinite(last.image).all()


def test_a_thin_image_is_refused_in_a_sentence(taps):
    with pytest.raises(UserError, match=r"The content would have 48 x 1 pixels .* needs at least 4 each way"):
        next(stylize(np.zeros((5000, 10, 3)), [STYLE], taps=taps, objective=SMALL, size=48))


def test_an_image_of_one_row_works_where_the_network_lets_it():
    objective = Objective(content_layers={"block1_conv2": 1.0}, style_layers={"block1_conv1": 1.0})
    taps = build_style_taps(network="compact", layers=objective.layers)
    row = np.full((1, 500, 3), 90, "float32")
    *_, last = stylize(row, [STYLE], taps=taps, objective=objective, size=48, smallest=48, steps=3)
    assert last.scale == (1, 48)
    assert np.isfinite(last.losses["total"])


def test_no_number_ends_in_a_sentence(taps):
    with pytest.raises(TrainingError, match="The loss became nan in step"):
        paint(taps, start=np.full_like(CONTENT, np.nan))


def test_the_settings_of_the_course_notes_have_losses_as_they_are():
    vgg16 = PRESETS["vgg16"]
    assert [*vgg16.style_layers.values()] == [0.05, 0.2, 0.2, 0.25, 0.3]
    assert vgg16.content_weight == 0.1
    objective = Objective(
        content_layers={"block1_conv2": 1.0},
        style_layers={"block1_conv1": 2.0},
        tv_weight=0.0,
        normalize=False,
    )
    taps = build_style_taps(network="compact", layers=objective.layers)
    image = noise()
    losses = aimed(taps, objective)(image)[2]
    of = {
        name: taps({"image": value})
        for name, value in {
            "image": image,
            "content": preprocess(CONTENT)[None],
            "style": preprocess(STYLE)[None],
        }.items()
    }
    error = np.mean(np.square(of["image"]["block1_conv2"] - of["content"]["block1_conv2"]))
    assert float(losses["content"]) == pytest.approx(error, rel=1e-4)

    def gram(features):
        flat = np.asarray(features).reshape(-1, features.shape[-1])
        return flat.T @ flat / flat.size

    error = np.mean(np.square(gram(of["image"]["block1_conv1"]) - gram(of["style"]["block1_conv1"])))
    assert float(losses["style"]) == pytest.approx(2 * error, rel=1e-3)


def test_bfloat16_paints_the_same_image(taps):
    keras.config.set_dtype_policy("mixed_bfloat16")
    narrow = build_style_taps(network="compact", layers=SMALL.layers)
    wide, other = (paint(network, steps=20)[-1] for network in (taps, narrow))
    # The two images, each judged in float32.
    loss = aimed(taps)
    totals = [float(loss(step.solution)[2]["total"]) for step in (wide, other)]
    assert totals[1] == pytest.approx(totals[0], rel=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "`size` must be above 0"),
        ({"start": "contents"}, "`start` must be one of content, style, noise, blank, statistics, or an image"),
        ({"start": np.zeros((4, 4))}, "`start` must be RGB images, (H, W, 3). Received: (4, 4)"),
        ({"noise_share": 1.5}, "`noise_share` must be from 0 to 1. Received: noise_share=1.5"),
        ({"objective": Objective()}, "`taps` must have every layer of `objective` as output. Received: "),
        ({"style_weights": (1.0, 2.0)}, "`style_weights` must be as many as styles, 1"),
        ({"style_weights": (-1.0,)}, "`style_weights` must be 0 or more"),
        (
            {"masks": [np.ones((10, 10))]},
            "`masks` must have 36 x 48 pixels as the content. Received: mask 1 with",
        ),
        ({"masks": [np.zeros((36, 48))]}, "mask 1 is black"),
        ({"masks": [np.ones((36, 48))] * 2}, "`masks` must be as many as styles"),
        ({"masks": [np.ones((36, 48, 1))]}, "Received: mask 1 with 36 x 48 x 1"),
        ({"masks": [x - 9]}, "`masks` must be 0 or more"),
        ({"steps": 2.5}, "`steps` must be a whole number"),
        ({"steps": 0}, "`steps` must be at least 1"),
        ({"optimizer": "adam"}, "`optimizer` must be LBFGS() or Adam() of kerasapps.styling"),
        ({"optimizer": keras.optimizers.Adam()}, "`optimizer` must be LBFGS() or Adam() of kerasapps.styling"),
        ({"objective": "vgg16"}, "`objective` must be an Objective, such as"),
        ({"taps": "vgg16"}, "`taps` must be a model from build_style_taps"),
        ({"resume": {}}, "`resume` must be the state of a Step. Received: nothing"),
        ({"resume": Adam().start(tf.zeros((1, 4, 4, 3))) | dict(scale=0, done=0, total=0)}, "a state of LBFGS"),
        ({"styles": []}, "`styles` must hold at least one image"),
        ({"styles": 5}, "`styles` must be an image or a list of images. Received: int"),
        ({"styles": [STYLE[..., 0]]}, "`styles` must be RGB images, (H, W, 3). Received: (40, 56)"),
        ({"content": CONTENT[None]}, "`content` must be RGB images, (H, W, 3). Received: (1, 36, 48, 3)"),
        ({"content": None}, "`content` must be RGB images, (H, W, 3). Received: NoneType"),
    ],
)
def test_bad_arguments(taps, change, message):
    arguments = {"content": CONTENT, "styles": [STYLE], "taps": taps, "objective": SMALL, "size": 48} | change
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        stylize(**arguments)  # at the call, not once its result is used
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("error::UserWarning")
def test_images_in_every_form_give_the_same_result(taps, tmp_path):
    content, style = CONTENT.astype(np.uint8), STYLE.astype(np.uint8)
    opened = Image.fromarray(content), Image.fromarray(style)
    for image, name in zip(opened, ("content.png", "style.png"), strict=True):
        image.save(tmp_path / name)
    forms = [
        (content, [style]),
        (content.astype(np.float32), style.astype(np.float64)),
        (tf.constant(content), style[None]),
        (opened[0], opened[1]),
        (opened[0].convert("RGBA"), [opened[1]]),
        (tmp_path / "content.png", str(tmp_path / "style.png")),
    ]
    arguments = {"taps": taps, "objective": SMALL, "size": 48, "smallest": 48, "steps": 2}
    first, *others = [list(stylize(*form, **arguments))[-1].image for form in forms]
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-3)


@pytest.mark.parametrize(
    "change", [{"content": CONTENT / 255}, {"styles": STYLE / 127.5 - 1.01}, {"start": CONTENT * 2}]
)
def test_values_of_another_range_are_a_warning(taps, change):
    arguments = {"content": CONTENT, "styles": [STYLE], "taps": taps, "objective": SMALL, "size": 48} | change
    with pytest.warns(UserWarning, match=f"`{next(iter(change))}` should have values from 0 to 255") as caught:
        stylize(**arguments)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Objective(style_weight=-1.0), "`style_weight` must be at least 0"),
        (lambda: Objective(style_layers={}), "`style_layers` must have a layer with a weight above 0"),
        (lambda: Objective(content_layers={"block1_conv1": -1.0}), "`content_layers` must be at least 0"),
        (lambda: Adam(learning_rate=0.0), "`learning_rate` must be above 0"),
        (lambda: Adam(average=1.0), "`average` must be in [0, 1)"),
        (lambda: LBFGS(memory=0), "`memory` must be at least 1"),
    ],
)
def test_objectives_and_optimizers_that_make_no_sense(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_the_border_of_a_painting_is_like_its_inside():
    """Without the margin, its upper edge is one and a half times as saturated as what lies below it."""
    taps = build_style_taps(network="compact", weights="trained", padding="mirror")
    content = np.asarray(Image.fromarray(load_sample_image("china.jpg")).resize((95, 63)))
    *_, last = stylize(content, [draw_painting(height=96, width=128)], taps=taps, size=95, smallest=95, steps=30)
    brightest = last.image.max(-1)
    saturation = (brightest - last.image.min(-1)) / np.maximum(brightest, 1)
    contrast = np.abs(np.diff(last.image.mean(-1), axis=1))[:, :94]
    for turn in range(4):
        side, steps = np.rot90(saturation, turn), np.rot90(contrast, turn)
        assert side[:3].mean() == pytest.approx(side[6:16].mean(), rel=0.15), turn
        assert steps[:3].mean() < 1.5 * steps[6:16].mean(), turn


def test_a_margin_is_a_mirror_and_is_cut_off_again():
    frame = Frame((3, 5), 4)
    image = tf.reshape(tf.range(15.0), (1, 3, 5, 1))
    wide = frame.extend(image)
    assert wide.shape[1] % 4 == wide.shape[2] % 4 == 0
    assert min(wide.shape[1] - 3, wide.shape[2] - 5) >= 2 * MARGIN
    np.testing.assert_array_equal(frame.cut(wide), image)
    top, left = frame.before
    np.testing.assert_array_equal(wide[:, top - 1], wide[:, top])
    np.testing.assert_array_equal(wide[:, :, left - 1], wide[:, :, left])
    # At the next size the margin is that size's own.
    larger = Frame((6, 10), 4).take_over(wide, smaller=(3, 5))
    assert larger.shape[1:3] == Frame((6, 10), 4).extend(tf.zeros((1, 6, 10, 1))).shape[1:3]


def test_a_painting_that_was_begun_without_a_margin_is_continued(taps):
    arguments = {"optimizer": Adam(), "size": 48, "smallest": 34, "steps": 3}
    first = paint(taps, **arguments)[0]
    state = {name: np.asarray(value) for name, value in first.state.items()}
    frame = Frame(first.scale, 4)
    bare = {name: frame.cut(value) if np.ndim(value) == 4 else value for name, value in state.items()}
    assert bare["x"].shape[1:3] == first.scale
    rest = paint(taps, **arguments, resume=bare)
    assert rest[-1].image.shape == CONTENT.shape
