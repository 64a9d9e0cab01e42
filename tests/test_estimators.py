"""Estimators of scikit-learn as graphs: the same predictions, saved and loaded, whatever classes they have seen."""

import keras
import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from kerasapps import load_model, portable
from kerasapps.estimators import at_most, estimator_block

rng = np.random.default_rng(0)
ROWS = rng.normal([3.0, -200.0, 0.0, 1e3], [1, 50, 1e-2, 100], (240, 4)).astype(np.float32)
NUMBERS = (ROWS[:, 0] * 10 + ROWS[:, 2] * 300 + rng.normal(size=240)).astype(np.float32)
THREE = np.digitize(NUMBERS, np.quantile(NUMBERS, [0.3, 0.6]))

CLASSIFIERS = [
    make_pipeline(StandardScaler(), LogisticRegression()),
    GaussianNB(),
    RandomForestClassifier(8, random_state=0),
    ExtraTreesClassifier(8, max_leaf_nodes=9, random_state=0),
    HistGradientBoostingClassifier(max_iter=6, min_samples_leaf=5),
    make_pipeline(StandardScaler(), KNeighborsClassifier(5)),
]
REGRESSORS = [
    make_pipeline(StandardScaler(), Ridge()),
    LinearRegression(),
    RandomForestRegressor(8, random_state=0),
    HistGradientBoostingRegressor(max_iter=6),
    make_pipeline(StandardScaler(), KNeighborsRegressor(5)),
]


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads that wait for each other would take most of the time."""
    with threadpool_limits(1):
        yield


def named(estimator) -> str:
    return type(getattr(estimator, "steps", [("", estimator)])[-1][1]).__name__


def network(estimator, num_classes: int | None) -> keras.Model:
    features = keras.Input((4,), name="features")
    return keras.Model([features], {"out": estimator_block(estimator, features, num_classes=num_classes, name="out")})


@pytest.fixture(params=["float32", "mixed_bfloat16"])
def _policy(request):
    """Sets a policy, under which no digit may be lost."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.usefixtures("_policy")
@pytest.mark.parametrize("classes", [(0, 1, 2), (1, 3)], ids=str)
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=named)
def test_the_graph_has_the_probabilities_of_the_estimator(estimator, classes):
    labels = np.array(classes)[THREE % len(classes)]
    estimator.fit(ROWS[:200], labels[:200])
    model = network(estimator, 5)
    expected = np.zeros((240, 5))
    expected[:, list(classes)] = estimator.predict_proba(ROWS)
    np.testing.assert_allclose(model.predict(ROWS, verbose=0)["out"], expected, atol=2e-4)
    np.testing.assert_allclose(model({"features": ROWS[:1]})["out"], expected[:1], atol=2e-4)
    assert not model.trainable_weights
    assert {layer.compute_dtype for layer in model.layers[1:]} == {"float32"}


@pytest.mark.usefixtures("_policy")
@pytest.mark.parametrize("estimator", REGRESSORS, ids=named)
def test_the_graph_has_the_numbers_of_the_estimator(estimator):
    estimator.fit(ROWS[:200], NUMBERS[:200])
    expected = estimator.predict(ROWS)[:, None]
    np.testing.assert_allclose(network(estimator, None).predict(ROWS, verbose=0)["out"], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("number", [2, 5])
def test_it_saves_loads_and_is_portable(number, tmp_path):
    estimator = CLASSIFIERS[number].fit(ROWS, THREE)
    model = network(estimator, 3)
    expected = model({"features": ROWS})["out"]
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "model.keras")({"features": ROWS})["out"], expected)
    plain = portable(model)
    assert "kerasapps" not in plain.to_json()
    plain.save(tmp_path / "plain.keras")
    np.testing.assert_allclose(
        keras.models.load_model(tmp_path / "plain.keras")({"features": ROWS})["out"], expected, atol=1e-6
    )


def test_thresholds_round_down():
    thresholds = np.array([0.1, -0.1, 1 / 3, 7.0, 16777217.0])
    rounded = at_most(thresholds)
    assert rounded.dtype == np.float32
    assert (rounded.astype(np.float64) <= thresholds).all()
    assert (np.nextafter(rounded, np.float32(np.inf)).astype(np.float64) > thresholds).all()


def test_other_estimators_are_refused():
    with pytest.raises(ValueError, match="must be one of scikit-learn's that have a graph"):
        network(SVC().fit(ROWS, THREE), 3)
    with pytest.raises(ValueError, match="must scale by StandardScaler alone"):
        network(make_pipeline(MinMaxScaler(), GaussianNB()).fit(ROWS, THREE), 3)
    with pytest.raises(ValueError, match="must weigh neighbors alike"):
        network(KNeighborsClassifier(weights="distance").fit(ROWS, THREE), 3)
    with pytest.raises(ValueError, match="must boost squared error or log loss"):
        network(HistGradientBoostingRegressor(loss="poisson", max_iter=2).fit(ROWS, np.abs(NUMBERS)), None)
    colors = np.concatenate([ROWS, THREE[:, None]], 1)
    boosting = HistGradientBoostingRegressor(max_iter=2, categorical_features=[4]).fit(colors, NUMBERS)
    with pytest.raises(ValueError, match="must boost trees of numbers alone"):
        network(boosting, None)
