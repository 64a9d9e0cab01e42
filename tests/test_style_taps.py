"""The taps of style transfer: names, weights from every source, and files that are not what they should be."""

import errno
import json
import os
import re
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from kerasapps import build_style_taps
from kerasapps.applications import style_transfer
from kerasapps.weights import SHIPPED, read_weights

LAYERS = ("block1_conv2", "block2_conv1")
image = np.random.default_rng(0).normal(0, 60, (1, 32, 40, 3)).astype("float32")


def official(path, *, without: str = "", filters: int = 64):
    """Writes a file as keras.applications publishes it: a group a layer, with a kernel and a bias."""
    rng = np.random.default_rng(1)
    with h5py.File(path, "w") as file:
        for layer, shape in list(style_transfer.convolution_shapes("vgg16").items())[:3]:
            if layer == without:
                continue
            shape = (*shape[:3], filters) if layer == "block1_conv1" else shape
            group = file.create_group(layer)
            group[f"{layer}_W_1:0"] = rng.normal(size=shape).astype("float32") / 100
            group[f"{layer}_b_1:0"] = rng.normal(size=shape[-1:]).astype("float32")
    return path


@pytest.mark.parametrize(("network", "count"), [("vgg16", 13), ("vgg19", 16), ("compact", 13)])
def test_layers_are_named_as_in_keras_applications(network, count):
    shapes = style_transfer.convolution_shapes(network)
    assert len(shapes) == count
    if network != "compact":
        theirs = getattr(keras.applications, network.upper())(include_top=False, weights=None)
        for layer, shape in shapes.items():
            assert tuple(theirs.get_layer(layer).kernel.shape) == shape


def test_it_is_cut_at_the_deepest_layer_and_frozen():
    taps = build_style_taps(network="compact", layers=("block3_conv2", "block1_conv1"))
    assert taps.layers[-1].name == "block3_conv2"
    assert not taps.trainable_weights
    outputs = taps({"image": image})
    assert {name: value.shape for name, value in outputs.items()} == {
        "block1_conv1": (1, 32, 40, 32),
        "block3_conv2": (1, 8, 10, 128),
    }


def test_random_weights_depend_on_the_seed_alone_and_keep_activations_in_size():
    first, again, other = (build_style_taps(network="compact", seed=seed) for seed in (0, 0, 1))
    for a, b, c in zip(first.get_weights(), again.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
    clouds = style_transfer.cloud_noise(64, np.random.default_rng(5))
    for value in first({"image": style_transfer.preprocess(clouds)[None]}).values():
        assert 0.2 < np.std(value) < 2


def test_the_weights_in_the_package_are_small_and_described():
    taps = build_style_taps(network="compact", weights="trained", layers=("block5_conv3",))
    assert SHIPPED.stat().st_size < 8e6
    card = json.loads(SHIPPED.with_suffix(".json").read_text())
    assert card["accuracy"] > 0.8
    assert f"{sum(weight.size for weight in taps.get_weights()):,} numbers" in card["network"]
    with h5py.File(SHIPPED) as file:
        kernel = file["block1_conv1/block1_conv1/kernel:0"]
        assert kernel.dtype == np.float16
        np.testing.assert_array_equal(taps.get_weights()[0], kernel[()].astype(np.float32))


@pytest.mark.parametrize(("padding", "even"), [("mirror", True), ("zeros", False)])
def test_before_a_mirror_an_even_image_has_no_edge(padding, even):
    taps = build_style_taps(network="compact", weights="trained", padding=padding, layers=("block2_conv2",))
    seen = np.asarray(taps({"image": np.full((1, 13, 18, 3), 40.0, np.float32)})["block2_conv2"])
    assert seen.max() > 0
    assert (np.ptp(seen, axis=(1, 2)).max() < 1e-4) == even


def test_frozen_weights_are_held_in_bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    taps = build_style_taps(network="compact", layers=LAYERS)
    assert {weight.dtype for weight in taps.weights} == {"bfloat16"}
    assert {keras.backend.standardize_dtype(value.dtype) for value in taps({"image": image}).values()} == {"bfloat16"}


def test_the_official_layout(tmp_path):
    path = official(tmp_path / "vgg16.h5")
    taps = build_style_taps(weights=str(path), layers=LAYERS)
    with h5py.File(path) as file:
        kernel = file["block2_conv1/block2_conv1_W_1:0"][()]
        np.testing.assert_array_equal(taps.get_layer("block2_conv1").get_weights()[0], kernel)


def test_what_an_optimizer_remembers_of_a_kernel_is_not_the_kernel(tmp_path):
    path = official(tmp_path / "vgg16.h5")
    with h5py.File(path, "a") as file:
        kernel = file["block1_conv1/block1_conv1_W_1:0"][()]
        file["optimizer_weights/Adam/block1_conv1/kernel/m:0"] = np.zeros_like(kernel)
    taps = build_style_taps(weights=str(path), layers=("block1_conv1",))
    np.testing.assert_array_equal(taps.get_weights()[0], kernel)


@pytest.mark.parametrize("name", ["saved.keras", "saved.h5", "saved.weights.h5"])
def test_what_keras_saves(tmp_path, name):
    taps = build_style_taps(network="compact", layers=LAYERS, seed=3)
    path = tmp_path / name
    taps.save_weights(path) if ".weights" in name else taps.save(path)
    loaded = build_style_taps(network="compact", layers=LAYERS, weights=str(path))
    for a, b in zip(taps.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_is_executed(tmp_path):
    """A Lambda layer in the file would write a file when the model is loaded; only its numbers are read."""
    x = keras.Input((8, 8, 3))
    y = x
    for layer, shape in list(style_transfer.convolution_shapes("compact").items())[:3]:
        y = keras.layers.Conv2D(shape[-1], 3, name=layer)(y)
    trap = tmp_path / "executed"
    y = keras.layers.Lambda(eval(f"lambda x: (open({str(trap)!r}, 'w'), x)[1]"), output_shape=(None, None, 64))(y)
    keras.Model(x, y).save(tmp_path / "trap.keras")
    trap.unlink(missing_ok=True)
    build_style_taps(network="compact", layers=LAYERS, weights=str(tmp_path / "trap.keras"))
    assert not trap.exists()


def test_links_are_not_followed(tmp_path):
    official(tmp_path / "other.h5")
    with h5py.File(tmp_path / "link.h5", "w") as file:
        for layer in ("block1_conv1", "block1_conv2", "block2_conv1"):
            file[layer] = h5py.ExternalLink(str(tmp_path / "other.h5"), layer)
    with pytest.raises(ValueError, match="has no kernel and bias of block1_conv1"):
        build_style_taps(weights=str(tmp_path / "link.h5"), layers=LAYERS)


def wrong_layout(tmp_path):
    return official(tmp_path / "a.h5", without="block1_conv2"), "a.h5 has no kernel and bias of block1_conv2"


def other_network(tmp_path):
    return official(tmp_path / "b.h5", filters=32), "b.h5 is of another network: block1_conv1 has"


def no_weights(tmp_path):
    (tmp_path / "c.h5").write_bytes(b"nothing of the kind")
    return tmp_path / "c.h5", "c.h5 is not a file of weights"


def no_archive(tmp_path):
    (tmp_path / "d.keras").write_bytes(b"nothing of the kind")
    return tmp_path / "d.keras", "d.keras is not a file of weights"


def empty_archive(tmp_path):
    zipfile.ZipFile(tmp_path / "e.keras", "w").close()
    return tmp_path / "e.keras", "e.keras is not a file of weights"


def damaged_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "g.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(range(256)) * 64)
    data = bytearray((tmp_path / "g.keras").read_bytes())
    data[50:90] = b"\xff" * 40
    (tmp_path / "g.keras").write_bytes(data)
    return tmp_path / "g.keras", "g.keras is not a file of weights"


def replaced(path, **arguments):
    """Puts other data in the place of a kernel."""
    with h5py.File(official(path), "a") as file:
        name = "block1_conv1/block1_conv1_W_1:0"
        del file[name]
        file.create_dataset(name, (3, 3, 3, 64), **arguments)
    return path, f"{path.name} does not itself hold floating-point numbers for block1_conv1"


def text(tmp_path):
    return replaced(tmp_path / "h.h5", dtype=h5py.string_dtype())


def numbers_of_another_file(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(4 * 3 * 3 * 3 * 64))
    return replaced(tmp_path / "i.h5", dtype="float32", external=[(str(tmp_path / "secret"), 0, 4 * 3 * 3 * 3 * 64)])


def missing(tmp_path):
    return tmp_path / "f.h5", "f.h5', which does not exist"


def folder(tmp_path):
    (tmp_path / "j.keras").mkdir()
    return tmp_path / "j.keras", "j.keras is a folder."


def named_pipe(tmp_path):
    os.mkfifo(tmp_path / "k.h5")
    return tmp_path / "k.h5", "k.h5 is not a regular file."


def too_long_a_name(tmp_path):
    return tmp_path / f"{'l' * 300}.h5", "l.h5 cannot be read: File name too long."


def with_bias(path, value, dtype="float32"):
    """Puts one number into the bias of a layer."""
    with h5py.File(official(path), "a") as file:
        bias = file["block1_conv2/block1_conv2_b_1:0"][()].astype(dtype)
        bias[7] = value
        del file["block1_conv2/block1_conv2_b_1:0"]
        file["block1_conv2/block1_conv2_b_1:0"] = bias
    return path, f"{path.name} has weights of block1_conv2 that are not finite numbers."


def not_a_number(tmp_path):
    return with_bias(tmp_path / "m.h5", np.nan)


def infinite(tmp_path):
    return with_bias(tmp_path / "n.h5", -np.inf)


def too_large_for_float32(tmp_path):
    return with_bias(tmp_path / "o.h5", 1e300, "float64")


WRONG = [wrong_layout, other_network, no_weights, no_archive, empty_archive, damaged_archive, missing, folder]
WRONG += [text, numbers_of_another_file, named_pipe, too_long_a_name, not_a_number, infinite, too_large_for_float32]


@pytest.mark.parametrize("case", WRONG)
def test_other_files_are_refused(tmp_path, case):
    path, message = case(tmp_path)
    with pytest.raises(ValueError, match=re.escape(message)):
        build_style_taps(weights=str(path), layers=LAYERS)


def test_a_file_without_rights_is_refused(tmp_path, monkeypatch):
    def denied(path, mode):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    path = official(tmp_path / "a.h5")
    monkeypatch.setattr(Path, "open", denied)  # whoever runs the tests may have the right to read every file
    with pytest.raises(ValueError, match=r"a\.h5 cannot be read: Permission denied\.$"):
        build_style_taps(weights=str(path), layers=LAYERS)


@pytest.mark.parametrize("compression", ["h5", "STORED", "DEFLATED", "BZIP2", "LZMA"])
def test_a_damaged_file_is_read_or_refused_in_a_sentence(tmp_path, compression):
    shape = (3, 3, 3, 4)
    whole = tmp_path / "whole.h5"
    with h5py.File(whole, "w") as file:
        file["block1_conv1/kernel"] = np.random.default_rng(0).normal(size=shape).astype("float32")
        file["block1_conv1/bias"] = np.zeros(4, "float32")
    path = tmp_path / "damaged.h5"
    if compression != "h5":
        path = whole = tmp_path / "damaged.keras"
        with zipfile.ZipFile(path, "w", getattr(zipfile, f"ZIP_{compression}")) as archive:
            archive.write(tmp_path / "whole.h5", "model.weights.h5")
    data = whole.read_bytes()
    path.write_bytes(data)
    assert read_weights(path, {"block1_conv1": shape})["block1_conv1"][0].shape == shape
    rng, messages = np.random.default_rng(1), []
    for i in range(100):
        damaged = bytearray(data)
        at = int(rng.integers(len(data)))
        damaged[at : at + 8] = rng.bytes(8)
        path.write_bytes(damaged[:at] if i % 5 == 0 else damaged)
        try:
            read_weights(path, {"block1_conv1": shape})
        except ValueError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert all("damaged." in message and "\n" not in message for message in messages)


def test_imagenet_comes_from_keras_and_off_line_a_sentence_names_the_fallback(monkeypatch):
    source = keras.applications.VGG16(include_top=False, weights=None)
    monkeypatch.setattr(keras.applications, "VGG16", lambda **arguments: source)
    taps = build_style_taps(weights="imagenet", layers=("block1_conv1",))
    np.testing.assert_array_equal(taps.get_weights()[0], source.get_layer("block1_conv1").get_weights()[0])

    def offline(**arguments):
        raise Exception("URL fetch failure on https://example.org: None -- no route to host")

    monkeypatch.setattr(keras.applications, "VGG16", offline)
    with pytest.raises(ValueError, match=r'"imagenet" weights of vgg16 could not be downloaded .*Use "random"'):
        build_style_taps(weights="imagenet", layers=("block1_conv1",))
    with pytest.raises(ValueError, match="are for vgg16 and vgg19"):
        build_style_taps(network="compact", weights="imagenet", layers=("block1_conv1",))
