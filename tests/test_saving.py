"""The package is imported lazily, and opens what it saved wherever it is imported."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest

import kerasapps
from kerasapps import Adam, SmoothedCrossentropy
from kerasapps.blocks.noise import Dropout
from kerasapps.saving import REGISTERED_IN

PACKAGE = Path(kerasapps.__file__).parent


def run(code: str, *arguments) -> str:
    """Runs code in a new interpreter and returns what it prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent).stdout


def test_importing_the_package_imports_nothing_else():
    code = "import sys, kerasapps; print([name for name in ('keras', 'tensorflow', 'numpy') if name in sys.modules])"
    assert run(code) == "[]\n"


@pytest.mark.parametrize("name", kerasapps.__all__)
def test_every_exported_name_is_there(name):
    value = getattr(kerasapps, name)
    assert getattr(value, "__name__", name) == name
    assert name in dir(kerasapps)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'kerasapps' has no attribute 'build_nothing'"):
        _ = kerasapps.build_nothing


def test_a_saved_network_opens_where_only_the_package_is_imported(tmp_path):
    image = keras.Input((3,), name="image")
    model = keras.Model({"image": image}, {"label": keras.layers.Softmax(name="label")(Dropout(0.5)(image))})
    model.compile(Adam(), {"label": SmoothedCrossentropy(0.1)})
    model.save(tmp_path / "model.keras")
    code = """if True:
        import sys, kerasapps
        print(kerasapps.load_model(sys.argv[1]).compiled)
        print(kerasapps.load_model(sys.argv[1], compile=True).loss['label'].smoothing)"""
    assert run(code, tmp_path / "model.keras") == "False\n0.1\n"


def test_opening_a_model_makes_every_class_of_ours_known():
    rooms = {
        path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for path in PACKAGE.rglob("*.py")
        if "@keras.saving.register_keras_serializable" in path.read_text()
    }
    assert rooms <= set(REGISTERED_IN)


def test_names_in_files_saved_before_stay_known(tmp_path):
    names = """Adam ArrivalReader AveragePooling2D BatchNormalization ByteDropout Conv2D Conv2DTranspose DistinctWords
    Dropout Gan GaussianNoise HasPicture HeadLoss IdentityKernel L2Pooling2D LSTM LazyAdam LogShares LogSumExp
    MaskedAverage MirrorConv2D NotPadding OrderedProbabilities PositionWeightedSum QueryReduction ReplaceMissing Scaled
    SemiSupervisedGan SharedWordWalk SmoothedCrossentropy SpectralNormalization TaskUncertainty WordConv1D ZeroPadded"""
    image = keras.Input((3,), name="image")
    keras.Model(image, image).save(tmp_path / "model.keras")
    code = """if True:
        import sys, kerasapps, keras
        kerasapps.load_model(sys.argv[1])
        print(*[name for name in sys.argv[2:] if keras.saving.get_registered_object(f"kerasapps>{name}") is None])"""
    assert run(code, tmp_path / "model.keras", *names.split()) == "\n"
