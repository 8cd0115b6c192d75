"""Classes as DICOM's coded concepts: standard where one is known, else this package's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

SCHEME = "99MEDSEG"
"""Designator of private codes, whose values are the names of the classes."""

# Names as data sets call their classes -> keywords of SNOMED CT in pydicom.
_KNOWN = {
    "aneurysm": "Aneurysm",
    "cyst": "Cyst",
    "lesion": "Lesion",
    "metastases": "Metastasis",
    "metastasis": "Metastasis",
    "neoplasm": "Neoplasm",
    "nodule": "Nodule",
    "tumor": "Neoplasm",
    "tumour": "Neoplasm",
}
_LONGEST_MEANING = 64


def code_of(name: str, given: Mapping[str, tuple[str, str, str]] | None = None) -> Code:
    """Return the concept of a class: the one that was given, SNOMED CT's, or a private one.

    Args:
        name: of the class.
        given: class -> value, designator of the scheme and meaning, such as
            ``("308689002", "SCT", "Coin lesion of lung")``.
    """
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    if given and name in given:
        return Code(*given[name])
    known = _KNOWN.get(name.lower())
    if known is not None:
        return getattr(codes.SCT, known)
    return private(name)


def private(value: str, meaning: str | None = None) -> Code:
    """Return a concept of this package's own scheme; by default the meaning is the value."""
    from pydicom.sr.coding import Code

    # In DICOM a backslash ends a value and begins another.
    value, shown = (text.replace("\\", "/") for text in (value, meaning or value))
    return Code(value, SCHEME, shown[:_LONGEST_MEANING])
