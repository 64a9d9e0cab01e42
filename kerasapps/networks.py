"""A network in a report: a table of its layers and a drawing of its graph, folded in."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from kerasapps.reports import render

BOX_WIDTH, BOX_HEIGHT, GAP = 240, 40, 22
MOST_DRAWN = 150  # layers up to which a graph is drawn


@dataclass(frozen=True)
class LayerRow:
    """One layer as people read it, with the names of the layers that it takes its inputs from."""

    name: str
    kind: str
    shape: str
    parameters: int
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Network:
    """A functional Keras model as a section of a report."""

    title: str
    model: Any

    def html(self) -> str:
        """Returns the layer table and the drawing."""
        layers = layer_rows(self.model)
        drawing = draw(layers) if len(layers) <= MOST_DRAWN and any(layer.sources for layer in layers) else None
        return render("network", layers=layers, parameters=self.model.count_params(), drawing=drawing)


def layer_rows(model: Any) -> list[LayerRow]:
    """Returns the layers of a model in the order of its graph; without a graph they have no sources."""
    operations = getattr(model, "operations", model.layers)
    own = {id(operation) for operation in operations}
    nodes = {id(node) for level in getattr(model, "_nodes_by_depth", {}).values() for node in level}
    rows = []
    for operation in operations:
        sources = [
            tensor._keras_history.operation.name
            for node in operation._inbound_nodes
            if id(node) in nodes
            for tensor in node.input_tensors
            if id(tensor._keras_history.operation) in own
        ]
        count = operation.count_params() if hasattr(operation, "count_params") and operation.built else 0
        kind, sources = type(operation).__name__, tuple(dict.fromkeys(sources))
        rows.append(LayerRow(operation.name, kind, shape_of(operation), int(count), sources))
    return rows


def shape_of(operation: Any) -> str:
    """Returns the shape of what an operation returns, such as "B x 28 x 28 x 3"; several are named apart by commas."""
    try:
        outputs = operation.output
    except (AttributeError, ValueError):  # called never, or more than once
        return "–"
    many = outputs.values() if isinstance(outputs, dict) else outputs
    tensors = many if isinstance(outputs, dict | list | tuple) else [outputs]
    return ", ".join(
        " x ".join(["B", *("*" if side is None else str(side) for side in tensor.shape[1:])]) for tensor in tensors
    )


def draw(layers: list[LayerRow]) -> dict[str, Any]:
    """Places each layer below all that it takes its inputs from."""
    depth: dict[str, int] = {}
    for layer in layers:
        depth[layer.name] = 1 + max((depth.get(name, -1) for name in layer.sources), default=-1)
    levels = defaultdict(list)
    for layer in layers:
        levels[depth[layer.name]].append(layer)
    across = max(map(len, levels.values()))
    width = across * (BOX_WIDTH + GAP) + GAP
    boxes = {}
    for level, members in levels.items():
        left = (width - len(members) * (BOX_WIDTH + GAP) + GAP) / 2
        for i, layer in enumerate(members):
            boxes[layer.name] = {
                "layer": layer,
                "x": round(left + i * (BOX_WIDTH + GAP)),
                "y": GAP // 2 + level * (BOX_HEIGHT + GAP),
            }
    edges = []
    for box in boxes.values():
        for name in box["layer"].sources:
            x, y = boxes[name]["x"] + BOX_WIDTH // 2, boxes[name]["y"] + BOX_HEIGHT
            to_x, to_y = box["x"] + BOX_WIDTH // 2, box["y"]
            # A connection over several levels bows out, so that it is not hidden by the boxes between.
            bow = BOX_WIDTH * 0.65 if to_y - y > GAP and x == to_x else 0
            middle = (to_y - y) / 2
            edges.append(f"M{x} {y}C{x + bow:g} {y + middle:g} {to_x + bow:g} {to_y - middle:g} {to_x} {to_y}")
    height = len(levels) * (BOX_HEIGHT + GAP)
    return {
        "boxes": list(boxes.values()),
        "edges": edges,
        "width": width,
        "height": height,
        "box_width": BOX_WIDTH,
        "box_height": BOX_HEIGHT,
    }
