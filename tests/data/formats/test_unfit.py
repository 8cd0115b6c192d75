"""A folder that fits no format says which of its annotation files cannot be used, and why."""

from __future__ import annotations

import pytest

from medseg.data import formats
from medseg.data.formats.unfit import unfit_files
from medseg.errors import InputError


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("annotations.json", b'{"images": [', "annotations.json is not JSON: Expecting value"),
        ("annotations/instances.json", b"", "instances.json is not JSON: Expecting value"),
        ("list.json", b'{"pictures": [], "shapes": []}', "list.json has the keys pictures, shapes"),
        ("boxes.csv", b"pic,xmin,ymin,xmax,ymax", "has the columns pic, xmin, ymin, xmax, ymax"),
        ("boxes.csv", "image,x".encode("utf-16"), "boxes.csv is no table in UTF-8"),
        ("boxes.csv", b"", "boxes.csv is no table in UTF-8"),
        ("boxes.csv", b"image|xmin|ymin", "has the columns image|xmin|ymin"),
    ],
)
def test_what_keeps_a_file_from_being_read_is_said(tmp_path, name, content, words):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(InputError, match="fits no known data format") as error:
        formats.recognise(tmp_path)
    assert words in error.value.found


def test_other_files_are_passed_over(tmp_path):
    for name in ("readme.txt", ".hidden.json", "image.png"):
        (tmp_path / name).write_bytes(b"{")
    assert unfit_files(tmp_path) == []
