import keras
import numpy as np
import pytest

from kerasapps.blocks.initializers import IdentityKernel


@pytest.mark.parametrize(("channels", "filters"), [(3, 3), (3, 5), (5, 3)])
def test_a_convolution_begins_by_handing_on_its_channels(channels, filters):
    layer = keras.layers.Conv2D(filters, 3, padding="same", kernel_initializer=IdentityKernel(seed=0))
    x = np.random.default_rng(0).standard_normal((2, 6, 7, channels)).astype(np.float32)
    y = keras.ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(y[..., :channels], x[..., :filters], rtol=1e-6)
    assert not np.allclose(y[..., channels:], 0) or filters <= channels


def test_filters_beyond_the_channels_begin_as_by_he():
    kernel = keras.ops.convert_to_numpy(IdentityKernel(seed=0)((3, 3, 16, 512)))[..., 16:]
    assert kernel.std() == pytest.approx((2 / (9 * 16)) ** 0.5, rel=0.02)
    other = keras.ops.convert_to_numpy(IdentityKernel(seed=1)((3, 3, 16, 512)))[..., 16:]
    assert not np.allclose(kernel, other)


def test_it_is_saved_with_its_seed():
    restored = keras.initializers.deserialize(keras.initializers.serialize(IdentityKernel(seed=3)))
    assert isinstance(restored, IdentityKernel)
    assert restored.seed == 3
