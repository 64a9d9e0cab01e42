import tensorflow as tf

from kerasapps.blocks.backend import tensorflow_on_cpu


def test_where_a_gpu_is_used_it_is_not_the_cpu(monkeypatch):
    for visible in ([], ["GPU:0"]):
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind, visible=visible: visible)
        assert tensorflow_on_cpu() is not bool(visible)
