"""Trained networks on the page, with a process that needs none."""

import threading

import pytest

from kerasapps.serving import answers
from kerasapps.serving.guard import HEADERS
from tests.serving.conftest import client_of, image_bytes


@pytest.fixture
def client(make_site, tmp_path):
    answerer = answers.Answerer("tests.serving.answerer", tmp_path / "answers.log", seconds=5)
    trained: dict[str, answers.Trained] = {}
    folders = {"one": tmp_path / "one", "unusable": tmp_path / "unusable"}
    opening = threading.Thread(target=answers.open_runs, args=(answerer, folders, trained))
    opening.start()
    opening.join()
    yield client_of(make_site(start=False, answerer=answerer, trained=trained, opening=opening))
    answerer.close()


def ask(client, text: str, **files):
    return client.post("/try/one", data={"text": text}, files=files or None)


def test_a_network_is_listed_asked_and_answers(client, capsys):
    assert "/try/one" in client.get("/try").text
    assert client.get("/try/unusable").status_code == client.get("/try/none").status_code == 404
    answer = ask(client, "<b>hello", image=("my cat.png", image_bytes()))
    assert "<p id='said'><B>HELLO True</p>" in answer.text  # blocks are HTML, made by reports, which escape
    assert 'value="&lt;b&gt;hello"' in answer.text
    command = answer.text.partition("<code>")[2].partition("</code>")[0].replace("<span>", "").replace("</span>", "")
    assert command == "echo &#39;&lt;b&gt;hello&#39; &#39;my cat.png&#39;"
    assert "A note." in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.replace(" 'unsafe-inline'", "") == HEADERS["content-security-policy"]


def test_what_is_wrong_is_a_sentence(client):
    assert "That is no text." in ask(client, "refuse").text
    assert "Please fill in a text." in ask(client, " ").text
    assert "is not a JPEG" in ask(client, "x", image=("a.png", b"nothing")).text


def test_a_process_that_dies_is_started_again(client):
    assert "The network could not answer" in ask(client, "die").text
    assert "HELLO" in ask(client, "hello").text


@pytest.mark.slow
def test_a_process_that_does_not_answer_is_started_again(client):
    assert "The network could not answer" in ask(client, "sleep").text
    assert "HELLO" in ask(client, "hello").text
