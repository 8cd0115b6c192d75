"""XML from elsewhere is read without what XML can do to a reader."""

from __future__ import annotations

import pytest

from medseg.data.formats.markup import number_of, read_xml
from medseg.errors import InputError

LAUGHS = (
    '<!DOCTYPE a [<!ENTITY l "lol">'
    + "".join(f'<!ENTITY l{n} "{f"&l{n - 1 or str()};" * 10}">' for n in range(1, 10))
    + "]><a>&l9;</a>"
)


def write(tmp_path, text):
    path = tmp_path / "a.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_elements_texts_and_default_name_spaces_are_read(tmp_path):
    path = write(tmp_path, '<?xml version="1.0"?><a xmlns="http://x"><b> 3.5 </b><b/></a>')
    root = read_xml(path)
    assert root.tag == "a" and len(root.findall("b")) == 2
    assert number_of(root, "b", file=path, what="a") == 3.5


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a SYSTEM "http://example.org/a.dtd"><a/>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><a/>'.encode("utf-16"),
    ],
    ids=["billion laughs", "external entity", "external type", "in another encoding"],
)
def test_document_types_and_with_them_entities_are_refused(tmp_path, text):
    with pytest.raises(InputError, match="document type") as error:
        read_xml(write(tmp_path, text))
    assert error.value.file.name == "a.xml" and error.value.remedy


@pytest.mark.parametrize(
    "text",
    ["", "<a><b></a>", "<a>", "<a>&undefined;</a>", "no markup", b"\xff\xfe\x00<a/>"],
)
def test_what_is_not_well_formed_says_where(tmp_path, text):
    with pytest.raises(InputError, match="well-formed") as error:
        read_xml(write(tmp_path, text))
    assert "line" in error.value.found


def test_an_encoding_that_nobody_knows_is_said(tmp_path):
    with pytest.raises(InputError, match="XML"):
        read_xml(write(tmp_path, '<?xml version="1.0" encoding="klingon"?><a/>'))


def test_depth_has_an_end(tmp_path):
    with pytest.raises(InputError, match="too deep"):
        read_xml(write(tmp_path, "<a>" * 100_000))


def test_size_has_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr("medseg.data.formats.markup._LARGEST", 10)
    with pytest.raises(InputError, match="too large"):
        read_xml(write(tmp_path, "<a>0123456789</a>"))


def test_a_number_that_is_none_names_the_element(tmp_path):
    path = write(tmp_path, "<a><x>three</x><y/></a>")
    root = read_xml(path)
    with pytest.raises(InputError, match=r"object 1: <x> is no number") as error:
        number_of(root, "x", file=path, what="object 1")
    assert error.value.found == "'three'" and error.value.remedy
    with pytest.raises(InputError, match=r"object 1 has no <y>"):
        number_of(root, "y", file=path, what="object 1")


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(InputError, match="cannot be opened"):
        read_xml(tmp_path / "gone.xml")
