from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from medseg.data.prepare.reading import read_image
from medseg.data.prepare.stack import write_stack
from medseg.errors import InputError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("top", "kind"), [(4, np.uint8), (60_000, np.uint16)])
def test_another_library_reads_the_pages_that_were_written(tmp_path, top, kind):
    tifffile = pytest.importorskip("tifffile")
    pages = RNG.integers(0, top, (7, 12, 9)).astype(np.uint8 if top < 256 else np.int32)
    path = write_stack(tmp_path / "out" / "a.tif", pages)
    found = tifffile.imread(path)
    assert found.dtype == kind and np.array_equal(found, pages)
    assert np.array_equal(np.moveaxis(read_image(path).data[0], -1, 0), pages)


def test_pages_are_asked_for_one_by_one_and_compressed(tmp_path):
    asked = []

    def pages():
        for number in range(300):
            asked.append(len([p for p in tmp_path.iterdir() if p.stat().st_size]))
            yield np.full((256, 256), number % 2, dtype=np.uint8)

    path = write_stack(tmp_path / "a.tif", pages())
    # Those that came first are in the file while the last are asked for.
    assert asked[0] == 0 and asked[-1] == 1
    assert path.stat().st_size < 300 * 256 * 256 / 50
    with Image.open(path) as picture:
        assert picture.n_frames == 300
        picture.seek(299)
        assert (np.asarray(picture) == 1).all()


def test_pages_that_fail_leave_nothing_and_what_was_there(tmp_path):
    def pages():
        yield np.zeros((8, 8), dtype=np.uint8)
        raise InputError("the video is cut short")

    with pytest.raises(InputError, match="cut short"):
        write_stack(tmp_path / "a.tif", pages())
    assert not list(tmp_path.iterdir())
    (tmp_path / "a.tif").write_text("mine")
    with pytest.raises(InputError, match="the file exists"):
        write_stack(tmp_path / "a.tif", pages())
    with pytest.raises(InputError, match="cut short"):
        write_stack(tmp_path / "a.tif", pages(), overwrite=True)
    assert (tmp_path / "a.tif").read_text() == "mine"


def test_values_that_a_picture_cannot_hold_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot hold") as error:
        write_stack(tmp_path / "a.tif", [np.array([[70_000, 0]], dtype=np.int32)])
    assert error.value.found == "values 0 to 70000"
    assert not list(tmp_path.iterdir())
