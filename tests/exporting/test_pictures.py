"""Images are read for an exported network as they were for its training."""

import io

import numpy as np
import pytest
from PIL import Image

from kerasapps.data.pictures import read_picture
from kerasapps.exporting.pictures import each_square, read_square

RNG = np.random.default_rng(0)


def smooth(side: int, channels: int) -> np.ndarray:
    """Few colors, magnified, as JPEG changes noise."""
    return RNG.integers(0, 256, (side // 50, side // 50, channels)).repeat(50, 0).repeat(50, 1).astype(np.uint8)


def saved(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


FILES = {
    "deep.png": saved(Image.fromarray(RNG.integers(0, 4096, (40, 50)).astype(np.uint16)), "PNG"),
    "floats.tif": saved(Image.fromarray(RNG.normal(size=(40, 40)).astype(np.float32)), "TIFF"),
    "large.jpg": saved(Image.fromarray(smooth(400, 3)), "JPEG"),
    "one_color.png": saved(Image.fromarray(smooth(50, 1)[..., 0] // 50), "PNG", transparency=2),
    "clear.png": saved(Image.fromarray(smooth(100, 4)), "PNG"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("values", [None, (0.0, 4095.0)])
def test_as_in_training(name, channels, values, tmp_path):
    (tmp_path / name).write_bytes(FILES[name])
    read = {"channels": channels, "values": values}
    np.testing.assert_array_equal(
        read_square(tmp_path / name, side=20, **read), read_picture(tmp_path / name, size=20, **read)
    )


@pytest.mark.parametrize("content", [b"", b"nothing", FILES["clear.png"][:300], FILES["large.jpg"][:700]])
@pytest.mark.parametrize("pillow", [True, False])
def test_a_damaged_file_is_one_sentence(content, pillow, tmp_path, monkeypatch):
    if not pillow:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(SystemExit, match=r"a\.png (cannot be read|is damaged|is no PNG file)"):
        read_square(tmp_path / "a.png", side=100, channels=3)


def test_files_and_folders_without_those_that_cannot_be_read(tmp_path, capsys):
    for name in ("b/large.jpg", "b/.hidden.jpg", "b/c/clear.png", "b/notes.txt", "a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(FILES.get(name.rpartition("/")[2], b"no image"))
    found = list(each_square([tmp_path / "a.png", tmp_path / "b"], side=8, channels=3))
    assert [str(file.relative_to(tmp_path)) for file, _ in found] == ["b/c/clear.png", "b/large.jpg"]
    assert "a.png" in capsys.readouterr().err
    np.save(tmp_path / "line.npy", np.zeros(3))
    found = list(each_square([tmp_path / "line.npy", tmp_path / "b"], side=8, channels=3))
    assert len(found) == 2
    assert "line.npy is damaged" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="holds no image"):
        list(each_square([tmp_path / "empty", tmp_path / "b"], side=8, channels=3))
    for alone in ([tmp_path / "a.png"], [tmp_path / "a.png", tmp_path / "b" / "none.png"]):
        with pytest.raises(SystemExit):
            list(each_square(alone, side=8, channels=3))
