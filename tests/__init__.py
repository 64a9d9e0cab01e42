import experiments  # noqa: F401 - first, so that TensorFlow is quiet and streams are open in every process of the tests
