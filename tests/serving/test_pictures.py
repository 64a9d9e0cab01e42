"""The page of pictures: what is sent, refused, waited for, stopped, kept and removed."""

import io
import json
import os
import re
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerasapps.errors import UserError
from kerasapps.serving.app import Uploads
from kerasapps.serving.forms import scans_of, shown_name
from kerasapps.serving.jobs import Job, Limits, Queue
from tests.serving.conftest import client_of, image_bytes, send, wait_for

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def error_of(response) -> str:
    """The sentence that a page shows."""
    (sentence,) = re.findall(r'<p class="error" role="alert">(.*?)</p>', response.text)
    return sentence


def pixels_of(client, address: str) -> Image.Image:
    return Image.open(io.BytesIO(client.get(f"{address}/picture.png").content))


def test_a_picture_is_painted_and_found_again(site):
    client = client_of(site)
    answer = send(client, name="my photo.png", steps="3")
    assert answer.status_code == 303
    address = answer.headers["location"]
    assert len(address.removeprefix("/pictures/")) == 32  # 24 bytes that cannot be guessed
    told = wait_for(client, address, "done")
    assert (told["step"], told["total"], told["position"]) == (3, 3, 0)
    page = client.get(address).text
    assert "my photo.png in red" in page
    assert "paint &#39;my photo.png&#39;" in re.sub("</?span>", "", page)
    assert pixels_of(client, address).size == (40, 30)
    saved = client.get(f"{address}/picture.png?download").headers["content-disposition"]
    assert saved.startswith("attachment")
    assert "my%20photo-painted.png" in saved
    assert address in client.get("/").text  # by the cookie


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (b"", "photo.jpg", "photo.jpg is empty: 0 bytes were sent."),
        (SVG, "photo.svg", "photo.svg is not a JPEG, PNG, WebP, BMP, GIF or TIFF image."),
        (b"<html><script>alert(1)</script></html>", "photo.jpg", "photo.jpg is not a JPEG, PNG, WebP"),
        (image_bytes("JPEG")[:200], "half.jpg", "half.jpg is damaged"),
        (SVG, '<b>"a&b".svg', "&lt;b&gt;&#34;a&amp;b&#34;.svg is not"),
        (SVG, "صورة.jpg", "صورة.jpg is not"),
        (SVG, "../../x", "x is not"),
        (SVG, "..\\..\\evil.png", "evil.png is not"),
        (b"x" * 1_100_000, "large.bin", "large.bin has 1.05 MiB. The limit is 1 MiB."),
        (image_bytes(size=(300, 200)), "wide.png", "wide.png has 0.06 megapixels. The limit is 0.05 megapixels."),
    ],
)
def test_a_file_that_is_no_picture_is_refused_in_a_sentence(make_site, tmp_path, content, name, sentence):
    site = make_site(uploads=Uploads(1, 0.05), start=False)
    answer = send(client_of(site), content, name)
    assert answer.status_code == 400
    assert error_of(answer).startswith(sentence)
    assert "<script>alert" not in answer.text
    assert os.listdir(tmp_path / "jobs") == []  # nothing is left, and nothing was written elsewhere
    assert set(os.listdir(tmp_path)) == {"jobs", ".lock"}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_before_it_is_decoded(make_site):
    site = make_site(start=False)
    header = bytearray(image_bytes(size=(8, 8)))
    header[16:24] = (10_000).to_bytes(4) * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4)
    said = error_of(send(client_of(site), bytes(header), "bomb.png"))
    assert said.startswith("bomb.png has 100")


def test_a_file_of_thousands_of_scans_is_refused_before_it_is_decoded(make_site):
    content = image_bytes("JPEG", progressive=True, quality=90)
    start = content.rindex(b"\xff\xda")  # the last scan, again and again
    bomb = content[:-2] + (content[start:-2]) * 300 + content[-2:]
    answer = send(client_of(make_site()), content=bomb, name="layers.jpg")
    assert answer.status_code == 400
    assert "layers.jpg is put together from too many layers" in answer.text


def test_what_follows_a_photo_is_no_scan_of_it():
    content = image_bytes("JPEG", progressive=True)
    scans = content.count(b"\xff\xda")
    assert 1 < scans == scans_of(content) == scans_of(content + 500 * b"\xff\xda")
    assert scans_of(content[:-9]) == scans  # cut off
    assert scans_of(b"") == scans_of(b"\xff\xd8") == scans_of(b"no image at all") == 0


def test_other_encodings_of_a_form_are_refused_before_it_is_read(make_site):
    client = client_of(make_site())
    for how in (
        "boundary=e; charset=punycode",
        'boundary=e; charset="idna"',
        "charset=utf-8; boundary=e; charset=punycode",
        'x="charset=utf-8"; boundary=e; charset=utf-7',
    ):
        kind = {"content-type": f"multipart/form-data; {how}"}
        body = b'--e\r\nContent-Disposition: form-data; name="t-"\r\n\r\nx\r\n--e--\r\n'
        answer = client.post("/", content=body, headers=kind)
        assert answer.status_code == 400
        assert "could not be read" in answer.text


def test_before_is_the_photo_whatever_comes_first(make_site):
    site = make_site()
    client, red = client_of(site), image_bytes(size=(20, 10))
    files = [("style", ("style.png", image_bytes(size=(10, 20)))), ("content", ("photo.png", red))]
    answer = client.post("/", files=files, follow_redirects=False)
    assert answer.status_code == 303
    address = answer.headers["location"]
    wait_for(client, address, "done")
    assert Image.open(io.BytesIO(client.get(f"{address}/before.jpg").content)).size == (20, 10)
    assert not (site.queue.jobs / address.removeprefix("/pictures/") / "run" / "checkpoints").exists()


def test_what_breaks_is_told_with_all_headers(make_site, monkeypatch):
    site = make_site()
    monkeypatch.setattr(site.queue, "folder", lambda: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    answer = send(client_of(site))
    assert (answer.status_code, "no room left" in answer.text) == (503, True)
    monkeypatch.setattr(site.queue, "find", lambda token: 1 / 0)
    client = client_of(site)
    client._transport.raise_server_exceptions = False
    answer = client.get("/pictures/x")
    assert answer.status_code == 500
    assert "Something went wrong here" in answer.text
    assert "content-security-policy" in answer.headers


def test_no_file_and_too_many_are_refused(make_site):
    client = client_of(make_site(start=False))
    assert error_of(client.post("/", data={"steps": "1"})) == "Please choose your photo: no file was sent."
    empty = [("content", ("", b""))]
    assert error_of(client.post("/", files=empty)) == "Please choose your photo: no file was sent."
    two = [("content", (f"{n}.png", image_bytes())) for n in (1, 2)]
    assert error_of(client.post("/", files=two)) == "Please choose one file for your photo, not several."
    many = [("content", (f"{n}.png", image_bytes())) for n in range(9)]
    assert error_of(client.post("/", files=many)) == "Too many files were sent: at most 2 are taken."
    assert error_of(send(client, steps="7")) == "Steps must be one of 1, 3, 500."
    assert "selected>3<" in client.post("/", data={"steps": "3"}).text  # what was chosen is still chosen


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x8825] = {1: "N", 2: (48.0, 31.0, 12.0)}  # where it was taken
    return image_bytes("JPEG", exif=exif)


FRAMES = [Image.new("RGB", (40, 30), color) for color in ("red", "blue")]
DEEP = tf.io.encode_png(np.full((30, 40, 3), 40_000, np.uint16)).numpy()


@pytest.mark.parametrize(
    ("content", "name", "note"),
    [
        (image_bytes("JPEG", mode="CMYK"), "print.jpg", "print.jpg has colors for print (CMYK)"),
        (DEEP, "deep.png", "deep.png has more than 8 bits for each color"),
        (image_bytes("GIF", save_all=True, append_images=FRAMES), "moves.gif", "only its first frame is used"),
        (turned(6), "turned.jpg", "turned.jpg was turned upright, as its camera recorded."),
        (image_bytes(mode="RGBA"), "clear.png", "clear.png is transparent in places"),
        (image_bytes("WEBP"), "plain.webp", ""),
    ],
)
def test_an_unusual_picture_is_taken_with_a_sentence(site, content, name, note):
    client = client_of(site)
    address = send(client, content, name).headers["location"]
    wait_for(client, address, "done")
    notes = re.findall('<p class="note">(.*?)</p>', client.get(address).text)
    assert len(notes) == bool(note)
    assert note in "".join(notes)


def test_before_is_upright_and_says_nothing_of_where_it_was_taken(site):
    client = client_of(site)
    address = send(client, turned(6), "turned.jpg").headers["location"]
    wait_for(client, address, "done")
    before = client.get(f"{address}/before.jpg").content
    with Image.open(io.BytesIO(before)) as image:
        assert image.size == (30, 40)
        assert not image.getexif()
    assert b"Exif" not in before


def test_names_are_shown_and_never_paths():
    assert shown_name("../../etc/passwd") == "passwd"
    assert shown_name("C:\\photos\\a.jpg") == "a.jpg"
    assert shown_name("a\nb\x00.jpg") == "ab.jpg"
    assert shown_name(None) == shown_name("...///") == "picture"
    assert len(shown_name("x" * 500 + ".jpg")) < 61


def test_the_queue_is_worked_off_in_order_and_says_how_long_it_is(make_site):
    site = make_site(start=False)
    client = client_of(site)
    addresses = [send(client, name=f"{n}.png").headers["location"] for n in range(3)]
    assert [client.get(f"{one}/state").json()["position"] for one in addresses] == [0, 1, 2]
    assert "2 pictures are before yours." in client.get(addresses[2]).text
    assert '<meta http-equiv="refresh" content="4">' in client.get(addresses[2]).text  # without a script
    site.queue.start()
    for one in addresses:
        wait_for(client, one, "done")
    ended = [site.queue.find(one[len("/pictures/") :]).changed for one in addresses]
    assert ended == sorted(ended)


def test_limits_of_the_queue(make_site, tmp_path):
    client = client_of(make_site(limits=Limits(waiting=3, visitor=2), start=False))
    for _ in range(2):
        assert send(client).status_code == 303
    assert error_of(send(client)).startswith("You have 2 pictures in the queue already")
    for job in (tmp_path / "jobs").iterdir():  # as if they were somebody else's
        told = json.loads((job / "job.json").read_text())
        (job / "job.json").write_text(json.dumps(told | {"visitor": "other"}))
    assert send(client).status_code == 303
    assert error_of(send(client)) == "The queue is full: please come back later."
    assert len(os.listdir(tmp_path / "jobs")) == 3


def test_stop_keeps_what_there_is(site):
    client = client_of(site)
    address = send(client, steps="500").headers["location"]
    while not client.get(f"{address}/state").json().get("step"):
        time.sleep(0.02)
    assert client.post(f"{address}/stop").url.path == address
    told = wait_for(client, address, "done")
    assert 0 < told["step"] < 500
    assert "You stopped it. This is the best so far." in client.get(address).text


def test_stop_before_it_begins(make_site):
    client = client_of(make_site(start=False))
    address = send(client).headers["location"]
    client.post(f"{address}/stop")
    assert client.get(f"{address}/state").json()["state"] == "stopped"
    assert "There is no picture yet" in client.get(address).text


def test_time_is_limited(make_site):
    client = client_of(make_site(limits=Limits(minutes=3 / 60)))
    address = send(client, steps="500").headers["location"]
    wait_for(client, address, "done")
    assert "It was stopped after 0.05 minutes." in client.get(address).text


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        ("refuse", "The photo is too dark."),
        ("break", "Something went wrong here, and not with your picture"),
        ("memory", "The system ended the job, usually because memory ran out: try a smaller size."),
    ],
)
def test_a_job_that_fails_says_why_and_the_next_is_done(site, end, sentence):
    client = client_of(site)
    first, second = (send(client, end=how).headers["location"] for how in (end, ""))
    wait_for(client, second, "done")
    assert client.get(f"{first}/state").json()["state"] == "failed"
    page = client.get(first).text
    assert sentence in page
    assert "Traceback" not in page


def test_pictures_are_removed_when_they_are_asked_to_be(site, tmp_path):
    client = client_of(site)
    done, running = send(client).headers["location"], send(client, steps="500").headers["location"]
    wait_for(client, done, "done")
    wait_for(client, running, "running")
    for address in (done, running):
        client.post(f"{address}/remove")
        assert client.get(address).status_code == 404
        assert client.get(f"{address}/picture.png").status_code == 404
    last = send(client).headers["location"]
    wait_for(client, last, "done")
    assert os.listdir(tmp_path / "jobs") == [last.removeprefix("/pictures/")]


def test_pictures_expire(make_site, tmp_path):
    queue = make_site(limits=Limits(keep_days=1), start=False).queue
    old, young = (finished(queue, days) for days in (2, 0.5))
    begun = queue.folder()
    os.utime(begun, (0, 0))
    queue._clean()
    assert not old.folder.exists()
    assert young.folder.exists()
    assert not begun.exists()


def finished(queue: Queue, days: float) -> Job:
    job = queue.submit(queue.folder(), place=queue.enter(""), arguments=["run"], shown={})
    job.run.mkdir()
    path = job.run / "metrics.json"
    path.write_text("{}")
    then = time.time() - 86_400 * days
    os.utime(path, (then, then))
    return job


def test_each_end_is_announced_once(make_site):
    told = []
    client = client_of(make_site(notify=lambda job, state: told.append((job.shown["title"], state))))
    first = send(client, name="a.png").headers["location"]
    second = send(client, name="b.png", end="refuse").headers["location"]
    wait_for(client, first, "done")
    wait_for(client, second, "failed")
    third = send(client, name="c.png").headers["location"]
    wait_for(client, third, "done")
    assert told[:2] == [("a.png in red", "done"), ("b.png in red", "failed")]


def test_a_folder_has_one_server(site, tmp_path):
    with pytest.raises(UserError, match="Another server uses"):
        Queue(tmp_path, module="tests.serving.painter")


def test_a_server_that_ends_leaves_its_job_to_the_next(make_site, tmp_path):
    first = make_site()
    client = client_of(first)
    address = send(client, steps="3").headers["location"]
    while not client.get(f"{address}/state").json().get("step"):
        time.sleep(0.005)
    first.queue.close()
    client = client_of(make_site())
    wait_for(client, address, "done")
    steps = (tmp_path / "jobs" / address.removeprefix("/pictures/") / "run" / "steps.txt").read_text().split()
    assert sorted(map(int, steps))[-1] == 3
    assert len(set(steps)) == 3


def test_twenty_at_once(make_site, tmp_path):
    site = make_site(limits=Limits(visitor=20), start=False)
    with client_of(site) as client, ThreadPoolExecutor(20) as pool:  # in one event loop, as in a server
        answers = list(pool.map(lambda n: send(client, name=f"{n}.png"), range(20)))
        assert {answer.status_code for answer in answers} == {303}
        pages = [client.get(answer.headers["location"]).text for answer in answers]
    titles = {page.partition("<h1>")[2].partition("</h1>")[0] for page in pages}
    assert titles == {f"{n}.png in red" for n in range(20)}
    assert not list((tmp_path / "jobs").glob(".*"))


@pytest.mark.parametrize("token", ["x", "%2e%2e", ".gone-x", "../jobs", "a" * 500, "ü"])
def test_a_link_that_is_none(site, token):
    assert client_of(site).get(f"/pictures/{token}").status_code == 404


def test_damaged_jobs_are_left_out(site):
    folder = site.queue.folder()
    folder = folder.rename(folder.with_name("damaged"))
    (folder / "job.json").write_text('{"created": ')
    assert site.queue.all() == []
    assert Path(folder).exists()
