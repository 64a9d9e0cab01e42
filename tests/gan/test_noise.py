"""The noise of a GAN: a seed means the same numbers for ever, whatever replicas share them."""

import numpy as np
import tensorflow as tf

from kerasapps import distribution
from kerasapps.gan.noise import Noise

ROOT = tf.constant([3, 7])


def test_each_draw_follows_from_the_seed_and_its_number():
    noise = Noise(ROOT)
    normal, uniform = noise.normal(4, [2]), noise.uniform(4, [1, 3], 0.7, 1.2)
    np.testing.assert_array_equal(normal, tf.random.stateless_normal([4, 2], tf.random.fold_in(ROOT, 1)))
    expected = tf.random.stateless_uniform([4, 1, 3], tf.random.fold_in(ROOT, 2), 0.7, 1.2)
    np.testing.assert_array_equal(uniform, expected)


def test_replicas_share_what_one_device_draws():
    strategy = distribution.make_strategy("mirrored")
    shares = strategy.experimental_local_results(strategy.run(lambda: Noise(ROOT).normal(2, [5])))
    np.testing.assert_array_equal(np.concatenate(shares), Noise(ROOT).normal(4, [5]))
