"""What every format does with files."""

from __future__ import annotations

import pytest

from medseg.data.formats import files
from medseg.errors import InputError


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "Expecting value at line 1, column 1"),
        (b'{"a": [1, ', "Expecting value at line 1, column 11"),
        (bytes(range(256)), "can't decode byte 0x80"),
        ("{}".encode("utf-16"), "can't decode byte 0xff"),
        (b"[" * 100_000, "recursion"),
        (b'{"a": ' + b"1" * 5000 + b"}", "4300 digits"),
    ],
    ids=["empty", "cut short", "binary", "utf-16", "deep", "endless number"],
)
def test_what_is_not_json_is_refused_by_its_file(tmp_path, content, found):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not JSON") as error:
        files.read_json(path)
    assert error.value.file == path and found in error.value.found
    assert error.value.remedy


def test_a_byte_order_mark_is_no_damage(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert files.read_json(path) == {"a": 1}


def test_a_name_that_is_too_long_is_no_file(tmp_path):
    assert not files.is_there(tmp_path / ("a" * 5000))
    assert files.is_there(tmp_path / "..") is False
