"""Runs an exported network with its runtime and NumPy alone: no TensorFlow, no Keras, nothing of the project.

This file stands by itself, and a copy of it lies in every deployable folder.

python runtime.py                                 compares the outputs for the example beside it with those expected
python runtime.py MODEL INPUTS.npz OUTPUTS.npz
"""

import json
import sys
from pathlib import Path

import numpy as np

NEEDS = {".onnx": "onnxruntime", ".tflite": "ai-edge-litert", ".xml": "openvino", "": "tensorflow"}


class Network:
    """A network in a file: ONNX (.onnx), LiteRT (.tflite), OpenVINO (.xml), or a SavedModel (a folder).

    Args:
        path: The file or folder.
        threads: Threads to compute with; all cores by default.

    Attributes:
        inputs: Shape of each input by name; a side that is free is None.

    Example:
        network = Network("model.onnx")
        network({"text": ids})["label"]  # ids int32 (n, T)
    """

    def __init__(self, path, *, threads=None):
        path = Path(path)
        kind = "" if path.is_dir() else path.suffix
        opened = {".onnx": _ONNX, ".tflite": _LiteRT, ".xml": _OpenVINO, "": _SavedModel}.get(kind)
        if opened is None:
            raise ValueError(f"{path} is none of .onnx, .tflite, .xml and a folder.")
        try:
            self._runner = opened(path, threads)
        except ImportError as error:
            name = NEEDS[kind]
            raise SystemExit(f"{path.name} needs {name}: pip install {name}. ({error})") from None
        self.inputs = self._runner.inputs

    def __call__(self, inputs):
        """Returns the outputs by name, each (n, ...), for inputs by name, each (n, ...)."""
        given = {name: _fitted(name, inputs[name], shape) for name, shape in self.inputs.items()}
        rows = len(next(iter(given.values())))
        if all(shape[0] in (None, rows) for shape in self.inputs.values()):
            return self._runner(given)
        parts = [self._runner({name: x[i : i + 1] for name, x in given.items()}) for i in range(rows)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _fitted(name, array, shape):
    """Returns a sequence padded with 0 to the length that a network was exported for, and anything else as it is."""
    array = np.asarray(array)
    missing = [
        0 if side in (None, have) else side - have for side, have in zip(shape[1:], array.shape[1:], strict=True)
    ]
    if any(m < 0 for m in missing):
        have, most = ("x".join(map(str, sides)) for sides in (array.shape[1:], shape[1:]))
        raise SystemExit(f"{name} is too long: it has the sides {have}, and the network was exported for {most}.")
    if any(missing) and (array.dtype.kind in "iu" or array.ndim == 3):
        return np.pad(array, [(0, 0), *((0, m) for m in missing)])
    return array


class _ONNX:
    def __init__(self, path, threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or 0
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs = {
            tensor.name: tuple(side if isinstance(side, int) else None for side in tensor.shape)
            for tensor in self.session.get_inputs()
        }
        about = self.session.get_modelmeta().custom_metadata_map
        self.outputs = json.loads(about.get("outputs", "null")) or [one.name for one in self.session.get_outputs()]

    def __call__(self, inputs):
        return dict(zip(self.outputs, self.session.run(None, inputs), strict=True))


class _LiteRT:
    def __init__(self, path, threads):
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(str(path), num_threads=threads)
        self.run = self.interpreter.get_signature_runner()
        self.inputs = {
            name: tuple(None if side == -1 else int(side) for side in self._shape(detail))
            for name, detail in self.run.get_input_details().items()
        }

    @staticmethod
    def _shape(detail):
        return detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"]

    def __call__(self, inputs):
        return self.run(**inputs)


class _OpenVINO:
    def __init__(self, path, threads):
        import openvino

        options = {"INFERENCE_PRECISION_HINT": "f32"} | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
        self.network = openvino.Core().compile_model(str(path), "CPU", options)
        self.inputs = {  # by the name of the node: a tensor may also have that of an operation that was left out
            port.get_node().get_friendly_name(): tuple(
                None if side.is_dynamic else side.get_length() for side in port.get_partial_shape()
            )
            for port in self.network.inputs
        }

    def __call__(self, inputs):
        done, outputs = self.network([inputs[name] for name in self.inputs]), {}
        for port in self.network.outputs:
            name = port.get_node().get_friendly_name()  # its tensor may be that of an input or of another output
            plain = name.removesuffix("_output")
            outputs[plain if plain in self.inputs else name] = np.array(done[port])
        return outputs


class _SavedModel:
    def __init__(self, path, threads):
        import tensorflow as tf

        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        self.made = tf.saved_model.load(str(path))  # kept: it owns the weights
        self.run = self.made.signatures["serving_default"]
        specs = self.run.structured_input_signature[1]
        self.inputs = {name: tuple(spec.shape) for name, spec in specs.items()}
        self.dtypes = {name: spec.dtype for name, spec in specs.items()}
        self.constant = tf.constant

    def __call__(self, inputs):
        given = {name: self.constant(value, self.dtypes[name]) for name, value in inputs.items()}
        return {name: value.numpy() for name, value in self.run(**given).items()}


# --- what the programs of deployable folders share


def beside(script, stem="model"):
    """Returns the network of a folder with this program, and what its codec.json holds."""
    folder = Path(script).resolve().parent
    path = next(path for path in (folder / f"{stem}{suffix}" for suffix in NEEDS) if path.exists())
    return Network(path), json.loads((folder / "codec.json").read_text(encoding="utf-8"))


def read_text(path=None):
    """Returns the text of a file, line ends as they are, or of standard input; what is not UTF-8 ends the program."""
    name = path or "standard input"
    try:
        return (sys.stdin.buffer.read() if path is None else Path(path).read_bytes()).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SystemExit(f"{name} is not UTF-8: save it as UTF-8 text.") from None
    except OSError as error:
        raise SystemExit(f"{name} cannot be read: {error.strerror or error}") from None


def likeliest(probabilities, names, count):
    """Returns the most probable names with their probabilities, the first one first."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [(names[i], float(probabilities[i])) for i in order]


def written(encoder, step, inputs, *, start, end, longest):
    """Returns the token ids that a decoder writes, always taking the likeliest, without its end."""
    state = encoder(inputs)
    for name, shape in step.inputs.items():
        if name not in state and name != "token":  # it grows by a step each time
            state[name] = np.zeros((1, 0, shape[-1]), np.float32)
    made, token = [], start
    for _ in range(longest):
        outputs = step(state | {"token": np.array([[token]], np.int32)})
        token = int(outputs["log_probs"][0].argmax())
        if token == end:
            break
        made.append(token)
        state |= {name: outputs[name] for name in outputs if name in state}
    return made


def percent(share, digits=1):
    """Returns a share as 98.3 %; only all is 100 % and only nothing 0 %, except without digits after the point."""
    text = f"{100 * share:.{digits}f}"
    if 100 * share in (0, 100):
        return f"{100 * share:.0f} %"
    return f"{min(max(100 * share, 0.01), 99.99):.2f} %" if digits and float(text) in (0, 100) else f"{text} %"


def show(columns, rows):
    """Prints a table, its first column to the left."""
    widths = [max(len(str(row[i])) for row in [columns, *rows]) for i in range(len(columns))]
    for row in [columns, ["─" * width for width in widths], *rows]:
        cells = [
            f"{row[0]:<{widths[0]}}",
            *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        print(" " + "  ".join(cells).rstrip())


def check(folder):
    """Prints how far the outputs for the examples of a folder are from those that they had when it was made."""
    for path in sorted(folder.glob("example*.npz")):
        network, _ = beside(folder / "predict.py", path.stem.removeprefix("example-") if "-" in path.stem else "model")
        with np.load(path) as file:
            given = {name.removeprefix("input."): file[name] for name in file if name.startswith("input.")}
            expected = {name.removeprefix("output."): file[name] for name in file if name.startswith("output.")}
        outputs = network(given)
        far = max(float(np.abs(outputs[name] - value).max()) for name, value in expected.items())
        print(f"{path.name}: the outputs differ by at most {far:.1e}.")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        check(Path(__file__).resolve().parent)
    else:
        with np.load(sys.argv[2]) as file:
            given, network = dict(file), Network(sys.argv[1])
        rows = len(next(iter(given.values())))
        parts = [network({name: x[i : i + 64] for name, x in given.items()}) for i in range(0, rows, 64)]
        np.savez(sys.argv[3], **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
