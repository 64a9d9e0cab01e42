"""`--params`, whatever it holds: a network, or one sentence."""

import functools
import inspect
import json

import pytest

import kerasapps
from experiments.shared.params import LARGEST, build, read_params
from kerasapps.errors import UserError

# Arguments that the data of an experiment decide.
GIVEN = {"image_shape", "num_classes", "vocab_size", "num_answers", "sentence_length", "heads", "numbers"}
# An ensemble joins networks that are there, and no --params lead to it.
NAMES = [name for name in kerasapps.__all__ if name.startswith("build_") and name != "build_ensemble"]
BUILDERS = [getattr(kerasapps, name) for name in NAMES]
ODD = ["odd", {"a": 1}, [["odd"]], [[[3]]], [None], 10**400, 2 * LARGEST, -1e30, float("nan"), float("inf")]


def said(function, *arguments, **settings) -> str:
    with pytest.raises(UserError) as error:
        function(*arguments, **settings)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert len(sentence) < 1000
    sentence.encode()  # no lone surrogates
    return sentence


@pytest.fixture(params=BUILDERS, ids=lambda builder: builder.__name__)
def stub(request):
    """A builder that builds nothing: it returns the arguments that it is called with."""

    @functools.wraps(request.param)
    def build_nothing(**arguments):
        return arguments

    return build_nothing


def arguments_of(builder) -> dict:
    parameters = inspect.signature(builder).parameters
    optional = {name: one.default for name, one in parameters.items() if one.default is not one.empty}
    return {name: value for name, value in optional.items() if name not in {*GIVEN, "name"}}


def test_odd_values_never_reach_a_builder(stub):
    given = dict.fromkeys(GIVEN & inspect.signature(stub).parameters.keys())
    hints = {name: one.annotation for name, one in inspect.signature(stub).parameters.items()}
    for name, usual in arguments_of(stub).items():
        for value in ODD:
            if not ((isinstance(usual, str) or hints[name] == str | None) and value == "odd"):
                assert f"`{name}` must be " in said(build, stub, {name: value}, what="this", given=given)
        # What a search writes comes back as it was, lists as tuples.
        value = json.loads(json.dumps(usual))
        assert build(stub, {name: value}, what="this", given=given)[name] == usual


@pytest.mark.parametrize("name", ["vocab_size", "name", "a/b", "\ud800", "", "given", "*" * 10_000])
def test_arguments_that_are_not_for_params(stub, name):
    given = dict.fromkeys(GIVEN)
    assert "does not take " in said(build, stub, {name: 1}, what="this", given=given)


@pytest.mark.parametrize("params", [{"dropout": 1.5}, {"units": -3}, {"hops": 0}, {"walkers": 3}])
def test_what_a_builder_refuses(params):
    given = {"vocab_size": 9, "num_answers": 3, "sentence_length": 4}
    sentence = said(build, kerasapps.build_memory_network, params, what="--arch memory", given=given)
    assert sentence.startswith("--params do not fit --arch memory: ")
    assert sentence.count("Received: ") == 1


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("a\n b"), KeyError("\udcff"), OSError("x" * 9999)])
def test_however_a_builder_fails(error):
    def build_nothing(*, units: int):
        raise error

    assert "--params do not fit this: " in said(build, build_nothing, {"units": 3}, what="this", given={})


def test_a_builder_that_fails_without_params_is_at_fault():
    with pytest.raises(ValueError, match="num_answers"):
        build(kerasapps.build_question_answering, {}, what="it", given={"vocab_size": 9, "num_answers": 1})


DEEP = "[" * 5000


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1]", "takes a JSON object"),
        ("3", "takes a JSON object"),
        ("null", "takes a JSON object"),
        ("", "is a folder"),
        ("nowhere.json", "cannot be read"),
        ("x" * 500, "cannot be read"),
        ("~nobody/best.json", "cannot be read"),
        ("a\0b", "is no path"),
        ('{"units": }', "not valid JSON"),
        (DEEP, "not valid JSON"),
        ('{"units": ' + DEEP, "not valid JSON"),
        ('{"units": ' + 10_000 * "9" + "}", "not valid JSON"),
        ("{\udcff", "not valid JSON"),
    ],
    ids=lambda text: text[:20].encode("ascii", "backslashreplace").decode(),
)
def test_text_that_is_no_object(text, sentence):
    assert sentence in said(read_params, text)


@pytest.mark.parametrize("content", [b"[1]", b"3", b"null", b"", b"\xff\xfe", DEEP.encode(), b'{"units": 1'])
def test_a_file_that_holds_no_object(tmp_path, content):
    (tmp_path / "best.json").write_bytes(content)
    said(read_params, str(tmp_path / "best.json"))


def test_a_folder(tmp_path):
    assert "is a folder" in said(read_params, str(tmp_path))


def test_lists_nested_nearly_too_deep(stub):
    name = next(iter(arguments_of(stub)), None)
    if name is None:
        pytest.skip("has no argument of its own")
    value = read_params('{"a": ' + "[" * 900 + "]" * 900 + "}")["a"]
    said(build, stub, {name: value}, what="this", given={})
