"""`Probe`: scores of a network's units, and their gradients by the rules of backpropagation, guided and DeconvNet.

The rules are those of the operations that TensorFlow computes, not of Keras' layers: a ReLU is one whether it is the
activation of a convolution, a layer, an operation, shared, in a residual block or inside another network.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from kerasapps.blocks.arguments import refusal
from kerasapps.blocks.backend import require_tensorflow
from kerasapps.inside.networks import (
    called,
    check_unit,
    image_input,
    inputs_of,
    layer_at,
    outputs_of,
    recorded,
    shape_of,
)

Inputs = Mapping[str, np.ndarray]
Rule = Literal["gradient", "guided", "deconvnet"]
BATCH = 64
# Operations whose gradient is that of a linear map, whatever their inputs.
LINEAR = {
    *("Identity", "IdentityN", "Cast", "StopGradient", "Reshape", "Squeeze", "ExpandDims", "Transpose", "Pack"),
    *("BiasAdd", "Add", "AddV2", "AddN", "Sub", "Neg", "ConcatV2", "Pad", "PadV2", "MirrorPad", "Tile"),
    *("ReverseV2", "StridedSlice", "Slice", "Split", "SplitV", "Unpack", "GatherV2", "Mean", "Sum", "AvgPool"),
    *("SpaceToBatchND", "BatchToSpaceND", "SpaceToDepth", "DepthToSpace", "ResizeBilinear", "ResizeNearestNeighbor"),
}
# Linear in each of their inputs, and so in the image if only one of them depends on it.
PRODUCTS = {
    *("Mul", "RealDiv", "MatMul", "BatchMatMulV2", "Einsum", "Conv2D", "DepthwiseConv2dNative"),
    *("Conv2DBackpropInput", "FusedBatchNormV3"),
}
SWITCHES = {"MaxPool", "Max"}  # whose gradient goes to where the maximum was
RULES = {"gradient": {}, "guided": {"Relu": "KerasappsGuidedRelu"}, "deconvnet": {"Relu": "KerasappsDeconvRelu"}}
WRAPPERS = {"Identity", "IdentityN", "Cast", "Reshape", "Squeeze"}


@tf.RegisterGradient("KerasappsGuidedRelu")
def _guided(op, gradient):
    """Passes what is positive, where the activation is (Springenberg et al., 2015)."""
    return tf.where(op.outputs[0] > 0, tf.nn.relu(gradient), tf.zeros_like(gradient))


@tf.RegisterGradient("KerasappsDeconvRelu")
def _deconv(op, gradient):
    """Rectifies the signal on its way back, as on its way forth (Zeiler and Fergus, 2014)."""
    return tf.nn.relu(gradient)


class Probe:
    """Asks a network for the scores of units and what of an image they depend on; each question is traced once.

    The score of a class is its logit, where the output is a softmax or a sigmoid of logits: the gradient of a
    probability near 1 vanishes. That of a channel of an image, or of a layer with height and width, is its mean.

    Args:
        model: A functional or sequential network, of this package or not.
        output: Name of the output that is asked about; by default the only one.
        layer: Name of a layer to ask about in its place, such as "conv1", inside another network "network/conv1".
        image: Name of the input that is looked at; by default the one that takes images.

    Raises:
        ValueError: If there is no such output, layer or input; if several outputs have no `output`.

    Example:
        >>> probe = Probe(model)
        >>> scores, gradient = probe.gradient({"image": images}, [3, 3])  # of class 3, images (2, H, W, C)
    """

    def __init__(
        self, model: keras.Model, *, output: str | None = None, layer: str | None = None, image: str | None = None
    ):
        require_tensorflow("Looking inside a network")
        inputs_of(model)
        if isinstance(model, keras.Sequential):  # its graph, which it hides
            model = keras.Model(model.inputs, model.outputs, name=model.name)
        self.model, self.layer = model, layer
        outputs = outputs_of(model)
        if layer is None and output is None and len(outputs) > 1:
            raise refusal(f"be one of {', '.join(outputs)}", output=None)
        self.output = output or next(iter(outputs))
        if self.output not in outputs:
            raise refusal(f"be one of {', '.join(outputs)}", output=output)
        self.image = image or image_input(model)
        if self.image not in inputs_of(model):
            raise refusal(f"be one of {', '.join(inputs_of(model))}", image=image)
        if layer is not None:
            layer_at(model, layer)
        self.traces: dict[Any, Callable] = {}

    # --- what it answers

    def predict(self, inputs: Inputs) -> np.ndarray:
        """Returns the output, float32 (n, ...)."""
        (outputs,) = self.run("output", lambda given, seen, outputs: [outputs[self.output]], inputs)
        return outputs

    def scores(self, inputs: Inputs, units: Sequence[int]) -> np.ndarray:
        """Returns the score of a unit for each row, float32 (n,)."""
        (scores,) = self.run("scores", lambda given, seen, outputs: [self._score(given, seen, outputs)], inputs, units)
        return scores

    def gradient(
        self, inputs: Inputs, units: Sequence[int], *, rule: Rule = "gradient"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the score of a unit for each row, float32 (n,), and what comes back to the image, (n, H, W, C).

        Raises:
            ValueError: If the rule is not defined for the network, whose nonlinearities must then be ReLU and maxima.
        """

        def backward(given, seen, outputs):
            image, score = given[self.image], self._score(given, seen, outputs)
            if rule != "gradient":
                check_rectified(score, image)
            (gradient,) = tf.gradients(score, [image])
            return [score, tf.zeros_like(image) if gradient is None else gradient]

        return tuple(self.run(rule, backward, inputs, units, rule=rule))

    def activations(self, inputs: Inputs, layer: str) -> np.ndarray:
        """Returns what a layer returns, float32 (n, ...)."""
        (values,) = self.run(("at", layer), lambda given, seen, outputs: [seen[layer]], inputs, layers=(layer,))
        return values

    def gradient_at(self, inputs: Inputs, units: Sequence[int], layer: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns what a layer returns and the gradient of the score by it, both float32 (n, ...).

        Raises:
            ValueError: If the score does not depend on the layer.
        """

        def backward(given, seen, outputs):
            (gradient,) = tf.gradients(self._score(given, seen, outputs), [seen[layer]])
            if gradient is None:
                raise refusal(f"be one that {self.layer or self.output} depends on", layer=layer)
            return [seen[layer], gradient]

        return tuple(self.run(("gradient at", layer), backward, inputs, units, layers=(layer,)))

    def codes(self, inputs: Inputs) -> np.ndarray:
        """Returns what the classifier of the output reads, the ReLU included, float32 (n, D).

        Raises:
            ValueError: If the output is not made by a dense layer.
        """
        (codes,) = self.run("codes", lambda given, seen, outputs: [self._read_by_head(outputs)], inputs)
        return codes.reshape(len(codes), -1)

    def width(self) -> int:
        """Returns how many units there are."""
        shape = shape_of(layer_at(self.model, self.layer)) if self.layer else outputs_of(self.model)[self.output].shape
        return int(shape[-1])

    # --- how

    def run(
        self,
        key: Any,
        question: Callable,
        inputs: Inputs,
        units: Sequence[int] | None = None,
        *,
        rule: Rule = "gradient",
        layers: Sequence[str] = (),
        batch_size: int = BATCH,
    ) -> list[np.ndarray]:
        """Answers a question in batches: a function of inputs, activations by layer and outputs, traced once a `key`.

        Raises:
            ValueError: If there is no such unit.
        """
        for unit in {*map(int, units if units is not None else ())}:
            where = {"layer": self.layer} if self.layer else {"output": self.output}
            check_unit(unit, self.width(), **where)
        count = len(inputs[self.image])
        units = np.zeros(count, np.int32) if units is None else np.asarray(units, np.int32)
        trace = self.traces.get(key) or self.traces.setdefault(key, self._traced(question, rule, layers))
        given = {name: np.asarray(inputs[name]) for name in inputs_of(self.model)}
        parts = []
        for start in range(0, count, batch_size):
            rows = slice(start, start + batch_size)
            parts.append(trace({name: tf.constant(one[rows]) for name, one in given.items()}, tf.constant(units[rows])))
        return [np.concatenate([part[i].numpy() for part in parts]) for i in range(len(parts[0]))]

    def _traced(self, question: Callable, rule: Rule, layers: Sequence[str]) -> Callable:
        names = {*layers, *([self.layer] if self.layer else [])}

        @tf.function(reduce_retracing=True, autograph=False)
        def answer(inputs, units):
            dtypes = {name: tensor.dtype for name, tensor in inputs_of(self.model).items()}
            given = {name: tf.cast(tensor, dtypes[name]) for name, tensor in inputs.items()}
            graph = tf.compat.v1.get_default_graph()
            found = {name: layer_at(self.model, name) for name in names}
            with graph.gradient_override_map(RULES[rule]), recorded(found) as seen:
                outputs = called(self.model, given)
            return [tf.cast(one, tf.float32) for one in question(given | {None: units}, seen, outputs)]

        return answer

    def _score(self, given, seen, outputs):
        """Returns the score of a unit for each row, float32 (B,)."""
        tensor = seen[self.layer] if self.layer else logits_of(outputs[self.output])
        tensor = tf.cast(tensor, tf.float32)
        if tensor.shape.rank > 2:
            tensor = tf.reduce_mean(tensor, [*range(1, tensor.shape.rank - 1)])  # (B, C)
        return tf.gather(tensor, given[None], batch_dims=1)

    def _read_by_head(self, outputs):
        """Returns what the last dense layer reads."""
        op = logits_of(outputs[self.output]).op
        while op.type in WRAPPERS | {"BiasAdd", "AddV2", "Mul", "RealDiv"}:
            # A bias, a scale and an offset have fewer axes than what they are applied to.
            rank = op.inputs[0].shape.rank if op.type in WRAPPERS else op.outputs[0].shape.rank
            op = next(one for one in op.inputs if one.shape.rank == rank).op
        if op.type not in ("MatMul", "BatchMatMulV2"):
            raise ValueError(f"`model` must end in a dense layer. Received: {self.model.name}, which ends in {op.type}")
        return op.inputs[0]


def logits_of(tensor: tf.Tensor) -> tf.Tensor:
    """Returns what a softmax or sigmoid was taken of, the tensor itself if it is neither."""
    op = tensor.op
    while op.type in WRAPPERS and len(op.inputs[0].shape) == len(tensor.shape):
        op = op.inputs[0].op
    return op.inputs[0] if op.type in ("Softmax", "Sigmoid") else tensor


def check_rectified(score: tf.Tensor, image: tf.Tensor) -> None:
    """Refuses a network with another nonlinearity than ReLU and maxima between an image and a score.

    Raises:
        ValueError: If there is one; it is named.
    """
    depends: dict[str, bool] = {image.op.name: True}

    def reached(op) -> bool:
        """Whether what an operation returns depends on the values of the image; its size does not count."""
        waiting = [op]
        while waiting:
            one = waiting[-1]
            below = [] if one.type in ("Shape", "ShapeN", "Size") else [tensor.op for tensor in one.inputs]
            missing = [inner for inner in below if inner.name not in depends]
            if one.name in depends or not missing:
                depends.setdefault(one.name, any(depends[inner.name] for inner in below))
                waiting.pop()
            else:
                waiting += missing
        return depends[op.name]

    waiting, seen = [score.op], {image.op.name}
    while waiting:
        op = waiting.pop()
        if op.name in seen or not reached(op):
            continue
        seen.add(op.name)
        inputs = [tensor.op for tensor in op.inputs if reached(tensor.op)]
        linear = op.type in LINEAR | SWITCHES | {"Relu"} or (op.type in PRODUCTS and len(inputs) == 1)
        if not linear:
            raise ValueError(
                "Guided backpropagation and DeconvNet are defined for ReLU and max pooling alone. "
                f"Received: `model` with {op.type} in {op.name}"
            )
        waiting += inputs
