"""What one visitor cannot do to the others: limits, defects, slow uploads, metadata, formats."""

import io
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kerasapps.serving import answers, guard
from kerasapps.serving.app import Uploads
from kerasapps.serving.forms import without_folders
from kerasapps.serving.gallery import small, styles_of
from kerasapps.serving.jobs import UNKNOWN, Limits
from tests.serving.conftest import client_of, image_bytes, send, wait_for
from tests.serving.test_pictures import error_of, finished


def job_of(site, address: str):
    return site.queue.find(address.removeprefix("/pictures/"))


def test_a_photo_is_decoded_once(make_site, monkeypatch):
    site = make_site(start=False)
    client = client_of(site)
    address = send(client).headers["location"]
    monkeypatch.setattr("kerasapps.serving.app.small", None)
    job_of(site, address).folder.joinpath("content.png").unlink()
    for _ in range(3):
        assert client.get(f"{address}/before.jpg").status_code == 200


def test_who_stops_has_used_a_place_and_nothing_else(make_site):
    site = make_site(limits=Limits(visitor=1, visitor_kept=3), start=False)
    client = client_of(site)
    for _ in range(3):
        address = send(client).headers["location"]
        client.post(f"{address}/stop")
        assert os.listdir(job_of(site, address).folder) == ["job.json"]
        assert client.get(f"{address}/before.jpg").status_code == 404
    assert error_of(send(client)) == "You have too many pictures here: please remove some of them first."
    client.post(f"{address}/remove")
    assert send(client).status_code == 303


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(kept=1), "There is no space left for pictures: please come back later."),
        (Limits(mib=0.001), "There is no space left for pictures: please come back later."),
        (Limits(mib=0.01), "You have too many pictures here: please remove some of them first."),
    ],
)
def test_space_is_limited(make_site, limits, sentence):
    client = client_of(make_site(limits=limits, start=False))
    assert send(client).status_code == 303
    assert error_of(send(client)) == sentence


def test_uploads_count_before_they_are_in_the_queue(make_site, tmp_path):
    site = make_site(limits=Limits(visitor=2), start=False)
    place = site.queue.enter("testclient")
    assert send(client_of(site)).status_code == 303
    assert "2 pictures in the queue already" in error_of(send(client_of(site)))
    site.queue.leave(place)
    assert send(client_of(site)).status_code == 303
    assert not site.queue.coming
    assert len(os.listdir(tmp_path / "jobs")) == 2


def test_a_picture_in_the_queue_no_longer_counts_as_an_upload(make_site, monkeypatch):
    site = make_site(limits=Limits(visitor=2), start=False)
    monkeypatch.setattr(site.queue, "leave", lambda place: None)  # a server that has not come to it yet
    assert [send(client_of(site)).status_code for _ in range(3)] == [303, 303, 400]


def test_folders_are_for_the_server_alone(make_site, tmp_path):
    send(client_of(make_site(start=False)))
    folders = [tmp_path / "jobs", *(tmp_path / "jobs").iterdir()]
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700, 0o700]


def test_the_cookie_keeps_to_https(make_site):
    client = client_of(make_site(start=False))
    assert "secure" not in send(client).headers["set-cookie"].lower()
    client.base_url = "https://127.0.0.1:8000"
    assert "secure" in send(client).headers["set-cookie"].lower()


def test_one_question_at_a_time(make_site, tmp_path):
    answerer = answers.Answerer("tests.serving.answerer", tmp_path / "answers.log", seconds=1)
    trained: dict[str, answers.Trained] = {}
    answers.open_runs(answerer, {"one": tmp_path / "one"}, trained)
    site = make_site(start=False, answerer=answerer, trained=trained)
    try:
        with client_of(site) as client, ThreadPoolExecutor(4) as pool:
            asked = list(pool.map(lambda _: client.post("/try/one", data={"text": "sleep"}).text, range(4)))
            assert sum("still being answered: please ask one at a time." in text for text in asked) == 3
            assert not site.asking
        site.asking |= {f"192.0.2.{n}": 1 for n in range(8)}
        refused = client_of(site).post("/try/one", data={"text": "hello"})
        assert "Too many people ask at the moment" in refused.text
    finally:
        answerer.close()


# --- the queue


@pytest.mark.parametrize(("end", "sentence"), [("abort", UNKNOWN), ("hangup", UNKNOWN)])
def test_a_job_that_always_dies_does_not_block_the_queue(site, end, sentence):
    client = client_of(site)
    first, second = (send(client, end=how).headers["location"] for how in (end, ""))
    wait_for(client, second, "done")
    assert job_of(site, first).error == sentence
    assert job_of(site, first).attempts == (3 if end == "hangup" else 0)


def test_a_defect_of_the_queue_is_survived(make_site, monkeypatch, capsys):
    site = make_site(start=False)
    client = client_of(site)
    assert client.get("/health").status_code == 503
    watch, seen = site.queue._watch, []

    def broken(job):
        seen.append(site.queue.process.pid)
        if len(seen) == 1:
            raise RuntimeError("a defect")
        return watch(job)

    monkeypatch.setattr(site.queue, "_watch", broken)
    site.queue.start()
    assert client.get("/health").status_code == 200
    address = send(client).headers["location"]
    wait_for(client, address, "done")
    assert "RuntimeError: a defect" in capsys.readouterr().err
    assert not os.path.exists(f"/proc/{seen[0]}")
    site.queue.failures = 3
    assert client.get("/health").status_code == 503


def test_jobs_are_read_again_only_if_they_changed(make_site, monkeypatch):
    site = make_site(start=False)
    job = finished(site.queue, 0)
    assert [one.token for one in site.queue.all()] == [job.token]
    reads = []
    monkeypatch.setattr("kerasapps.serving.jobs.read_json", lambda path: reads.append(path))
    assert [one.token for one in site.queue.all()] == [job.token]
    assert not reads
    shutil.rmtree(job.folder)
    assert site.queue.all() == []
    assert not site.queue.known


def test_damaged_jobs_expire(make_site):
    queue = make_site(limits=Limits(keep_days=1), start=False).queue
    for name, age in {"old": 2, "young": 0.5}.items():
        (queue.jobs / name).mkdir()
        (queue.jobs / name / "job.json").write_text('{"created": ')
        os.utime(queue.jobs / name, (time.time() - 86_400 * age,) * 2)
    queue._clean()
    assert os.listdir(queue.jobs) == ["young"]


# --- images


def with_notes(kind: str) -> bytes:
    buffer, image = io.BytesIO(), Image.new("RGB", (40, 30), "red")
    secret = "at home"
    if kind == "PNG":
        texts = PngInfo()
        texts.add_text("comment", secret)
        image.save(buffer, kind, pnginfo=texts)
    else:
        options = {"GIF": {"comment": secret.encode()}, "JPEG": {"comment": secret.encode(), "xmp": secret.encode()}}
        image.save(buffer, kind, **options[kind])
    assert b"at home" in buffer.getvalue()
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "PNG"])
def test_comments_are_not_given_out(make_site, kind):
    client = client_of(make_site(start=False))
    address = send(client, with_notes(kind), f"a.{kind.lower()}").headers["location"]
    before = client.get(f"{address}/before.jpg")
    assert before.status_code == 200
    assert b"at home" not in before.content


def test_a_photo_of_several_images_is_taken(make_site):
    first, second = (Image.new("RGB", (40, 30), color) for color in ("red", "blue"))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    site = make_site(start=False)
    job = job_of(site, send(client_of(site), buffer.getvalue(), "phone.jpg").headers["location"])
    assert job.shown["content"] == "content.jpg"
    assert job.shown["notes"] == []


def test_size_is_checked_before_a_png_file_is_decoded(make_site, monkeypatch):
    def load(image):
        raise AssertionError("it was decoded")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    client = client_of(make_site(uploads=Uploads(megapixels=0.001), start=False))
    assert error_of(send(client)) == "photo.png has 0.0012 megapixels. The limit is 0.001 megapixels."


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.linspace(0, 1, 100), np.float32),
        (np.linspace(-3, 5, 100), np.float32),
        (np.linspace(0, 1e9, 100), np.int32),
        (np.linspace(0, 255, 100), np.int32),
        (np.linspace(0, 65535, 100), np.uint16),
    ],
)
def test_images_of_numbers_are_not_black(tmp_path, values, kind):
    path = tmp_path / "a.tiff"
    Image.fromarray(np.broadcast_to(values.astype(kind), (20, 100)).copy()).save(path)
    with Image.open(io.BytesIO(small(path, 100))) as image:
        seen = np.asarray(image.convert("L"))[10]
    assert seen[0] < 10
    assert seen[-1] > 245
    assert 120 < seen[50] < 136


def test_a_style_that_is_replaced_has_another_key(tmp_path):
    (tmp_path / "a.png").write_bytes(image_bytes())
    (tmp_path / "b.png").write_bytes(image_bytes())
    first = styles_of(tmp_path)
    (tmp_path / "a.png").unlink()
    assert styles_of(tmp_path)[0].key == first[1].key != first[0].key
    os.utime(tmp_path / "b.png", (0, 0))
    assert styles_of(tmp_path)[0].key != first[1].key


# --- forms and requests


def test_choices_survive_a_picture_that_is_refused(make_site):
    answer = send(client_of(make_site(start=False)), b"no image", steps="3", chosen="blue")
    assert "selected>3<" in answer.text
    assert 'value="blue" checked' in answer.text


def test_folders_of_the_server_are_not_shown():
    said = "Cannot read /srv/data/runs/qa/config.json or '/home/me/a.png'; see https://example.org/a/b and 1/2."
    assert without_folders(said) == "Cannot read config.json or 'a.png'; see https://example.org/a/b and 1/2."


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"host": "evil.example"}, {}])
def test_an_early_refusal_reads_the_body_first(make_site, headers):
    """A browser whose upload is cut off shows that the connection broke, and no sentence."""
    site = make_site(limits=Limits(visitor=0), start=False)
    read = []

    def pieces():
        for n in range(40):
            read.append(n)
            yield b"x" * 1000

    answer = client_of(site).post("/", content=pieces(), headers=headers)
    assert answer.status_code in (400, 403, 421)
    assert len(read) == 40


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_body_is_drained_up_to_a_limit(anyio_backend):
    received = []

    async def receive():
        received.append(1)
        return {"type": "http.request", "body": b"x" * 10, "more_body": len(received) < 7}

    await guard._Body(receive, 10).drain()
    assert len(received) == 7
    received.clear()
    await guard._Body(receive, 2).drain()
    assert len(received) == 2
