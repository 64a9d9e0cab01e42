"""A network in a report: its layers, and where each is drawn."""

import keras
from keras import layers

from kerasapps.networks import Network, draw, layer_rows


def toy() -> keras.Model:
    left, right = keras.Input((4,), name="<b>left"), keras.Input((None, 3), name="right")
    pooled = layers.GlobalAveragePooling1D(name="pool")(right)
    joined = layers.Concatenate(name="join")([layers.Dense(3, name="dense_left")(left), pooled])
    return keras.Model([left, right], {"label": layers.Dense(2, name="label")(joined)}, name="toy")


def test_layers_are_listed_with_kind_shape_parameters_and_sources():
    rows = {row.name: row for row in layer_rows(toy())}
    assert rows["right"].shape == "B x * x 3"
    assert (rows["dense_left"].kind, rows["dense_left"].parameters) == ("Dense", 15)
    assert rows["join"].sources == ("dense_left", "pool")
    assert sum(row.parameters for row in rows.values()) == toy().count_params()


def test_a_layer_is_drawn_below_what_it_takes():
    rows = layer_rows(toy())
    drawing = draw(rows)
    boxes = {box["layer"].name: box for box in drawing["boxes"]}
    for row in rows:
        assert all(boxes[source]["y"] < boxes[row.name]["y"] for source in row.sources)
    assert len({(box["x"], box["y"]) for box in boxes.values()}) == len(rows)
    assert len(drawing["edges"]) == sum(len(row.sources) for row in rows)


def test_the_section_is_folded_in_and_names_stay_text():
    html = Network("Network", toy()).html()
    assert html.count("<details>") == 2
    assert "&lt;b&gt;left" in html
    assert "<b>left" not in html


def test_a_network_without_a_graph_has_its_table():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="label")])
    assert "label" in Network("Network", model).html()
