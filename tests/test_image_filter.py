"""Image filters against SciPy, against each other, and against the numbers that the course notes print."""

import numpy as np
import pytest
import scipy.ndimage

from kerasapps import build_image_filter, load_model
from kerasapps.applications.image_filter import KERNELS, separate, to_bytes, to_gray

rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (2, 9, 12, 3)).astype(np.float32)
OWN = rng.normal(size=(3, 5))
MODES = {"zeros": "constant", "extend": "nearest", "reflect": "mirror"}
# The gray road of the course notes at its four corners, and what they print for it after `sobel_y`. Outside of these
# 3 x 3 pixels an image is unknown, so that only the 2 x 2 next to each corner can be computed.
ROAD = {
    (0, 0): [[[53, 52, 29], [55, 33, 98], [43, 73, 154]], [[0, 0], [22, 157]]],
    (0, 1): [[[33, 50, 53], [88, 34, 54], [141, 69, 46]], [[0, 0], [139, 24]]],
    (1, 0): [[[47, 55, 100], [52, 36, 68], [51, 55, 37]], [[8, 0], [0, 0]]],
    (1, 1): [[[67, 87, 130], [81, 113, 142], [113, 138, 135]], [[153, 112], [0, 0]]],
}


@pytest.mark.parametrize("border", [*MODES, "crop"])
@pytest.mark.parametrize("separable", [True, False])
def test_it_is_the_correlation_of_scipy(border, separable):
    kernels = {**KERNELS, "own": OWN}
    model = build_image_filter(kernels=kernels, channels=3, border=border, separable=separable)
    for name, filtered in model.predict({"image": IMAGES}, verbose=0).items():
        kernel = np.array(kernels[name], np.float64)[None, :, :, None]
        expected = scipy.ndimage.correlate(IMAGES.astype(np.float64), kernel, mode=MODES.get(border, "constant"))
        if border == "crop":
            top, left = kernel.shape[1] // 2, kernel.shape[2] // 2
            expected = expected[:, top:-top, left:-left]
        np.testing.assert_allclose(filtered, expected, rtol=1e-5, atol=1e-5 * 255)


def test_a_column_and_a_row_do_what_their_product_does():
    kernels = {name: matrix for name, matrix in KERNELS.items() if separate(np.array(matrix, float))}
    assert set(kernels) == {"sobel_x", "sobel_y", "blur", "mean"}
    parted, full = (build_image_filter(kernels=kernels, channels=3, separable=one) for one in (True, False))
    assert parted.count_params() < full.count_params()
    for name, value in parted.predict({"image": IMAGES / 255}, verbose=0).items():
        np.testing.assert_allclose(value, full.predict({"image": IMAGES / 255}, verbose=0)[name], atol=1e-6)


def test_an_image_without_edges_has_none():
    edges = [name for name, matrix in KERNELS.items() if not np.sum(matrix)]
    assert set(edges) == {"sobel_x", "sobel_y", "laplacian", "outline"}
    model = build_image_filter(kernels={name: KERNELS[name] for name in edges})
    for value in model.predict({"image": np.full((1, 7, 8, 1), 200, np.float32)}, verbose=0).values():
        assert not value.any()


@pytest.mark.parametrize("corner", ROAD)
def test_the_road_of_the_course_notes(corner):
    gray, printed = ROAD[corner]
    model = build_image_filter(kernels={"sobel_y": KERNELS["sobel_y"]})
    filtered = model.predict({"image": np.array(gray, np.float32)[None, :, :, None]}, verbose=0)["sobel_y"][0, ..., 0]
    known = tuple(slice(0, 2) if at == 0 else slice(1, 3) for at in corner)
    np.testing.assert_array_equal(to_bytes(filtered)[known], printed)


def test_gray_is_rounded_and_bytes_saturate():
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [1, 2, 3]], np.uint8)
    np.testing.assert_array_equal(to_gray(colors), [76, 150, 29, 255, 2])
    np.testing.assert_array_equal(to_bytes(np.array([-3.0, 0.6, 254.4, 300.0])), [0, 1, 254, 255])


def test_a_saved_filter_is_the_same(tmp_path):
    model = build_image_filter(kernels={"own": OWN}, channels=3, border="extend")
    model.save(tmp_path / "filter.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "filter.keras")([IMAGES])["own"], model([IMAGES])["own"])
