"""What every request passes."""

import pytest

from kerasapps.serving.app import Uploads
from tests.serving.conftest import client_of, send

HERE = "http://127.0.0.1:8000"


def test_every_answer_has_the_headers(site):
    client = client_of(site)
    for path in ("/", "/page.css", "/static/page.js", "/styles/red.jpg", "/health", "/nowhere", "/pictures/x"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
    assert "server" not in headers


def test_pages_hold_no_script_or_style_of_their_own(site):
    for path in ("/", "/try", "/nowhere"):
        text = client_of(site).get(path).text
        assert "<style" not in text
        assert " style=" not in text
        assert text.count("<script") == text.count("<script src=") == 1
        assert text.count("<h1") == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"origin": HERE}, 303),
        ({"origin": HERE, "sec-fetch-site": "same-origin"}, 303),
        ({"origin": "https://127.0.0.1:8000"}, 303),  # behind a proxy that speaks https
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9000"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_posts_from_other_sites_are_refused(make_site, headers, status):
    client = client_of(make_site(start=False))
    client.headers.update(headers)
    assert send(client).status_code == status
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(("host", "status"), [("localhost:1", 200), ("evil.example", 421), ("", 421), ("[::", 421)])
def test_a_name_that_is_not_ours(make_site, host, status):
    assert client_of(make_site(start=False)).get("/", headers={"host": host}).status_code == status


def test_a_body_without_end_is_cut_off(make_site, tmp_path):
    site = make_site(uploads=Uploads(mib=0.1), start=False)
    answer = client_of(site).post("/", files={"content": ("a.png", b"x" * 3_000_000)})
    assert answer.status_code == 413
    assert "The limit is 0.1 MiB a file." in answer.text
    assert not list((tmp_path / "jobs").iterdir())


def test_only_what_a_page_offers_is_taken(site):
    client = client_of(site)
    assert client.put("/").status_code == 405
    assert client.get("/static/page.js").status_code == 200
    assert client.get("/static/%2e%2e%2fapp.py").status_code == 404
    assert client.get("/styles/%2e%2e%2fjobs.jpg").status_code == 404
    assert client.post("/", content=b"no form", headers={"content-type": "multipart/form-data"}).status_code == 400
