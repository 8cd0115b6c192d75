from itertools import permutations

import pytest

from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.regions import decoding_order, require_decodable

BRATS = {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}
VALUES = {"background": 0, "NCR": 1, "ED": 2, "ET": 4}


def painted(value, regions, order):
    """Decode a voxel of that value as a painter would: one region over the other."""
    colour = 0
    for of, code in zip(regions.values(), order, strict=True):
        if value in of:
            colour = code
    return colour


def test_nested_regions_write_what_no_inner_one_owns():
    assert decoding_order(BRATS) == (2, 1, 4)
    assert decoding_order({"a": (1,), "b": (2,)}) == (1, 2)
    with pytest.raises(InputError, match="'all' does not say which label"):
        decoding_order({"all": (1, 2, 4), "ET": (4,)})


@pytest.mark.parametrize("names", permutations(BRATS))
def test_only_an_order_that_gives_every_label_back_is_accepted(names):
    regions = {name: BRATS[name] for name in names}
    order = decoding_order(regions)
    lost = [v for v in (1, 2, 4) if painted(v, regions, order) != v]
    assert (lost == []) == (names == ("WT", "TC", "ET"))
    if not lost:
        require_decodable(regions, order, VALUES)
        return
    with pytest.raises(InputError, match="decoding makes") as caught:
        LabelScheme(VALUES, regions)
    assert f"({lost[0]})" in str(caught.value)
    assert caught.value.remedy.startswith("put data.regions in order")


def test_labels_that_no_region_tells_apart_may_become_one():
    require_decodable({"whole": (1, 2)}, (1,), {"a": 1, "b": 2})
    masses = {"masses": (2, 3, 4), "tumour": (2,)}
    require_decodable(
        masses, (3, 2), {"background": 0, "kidney": 1, "tumour": 2, "cyst": 3, "fat": 4}
    )


def test_regions_that_cross_lose_what_they_share():
    crossing = {"left": (1, 2), "right": (2, 3)}
    with pytest.raises(InputError, match=r"decoding makes 3 of 'both' \(2\)") as caught:
        LabelScheme({"only left": 1, "both": 2, "only right": 3}, crossing, (1, 3))
    assert "left 1, right 3" in caught.value.found
    # Their intersection is a region that can be named.
    scheme = LabelScheme({"l": 1, "m": 2, "r": 3}, {**crossing, "both": (2,)})
    assert [painted(v, scheme.regions, scheme.order) for v in (1, 2, 3)] == [1, 2, 3]


def test_a_region_that_writes_background_or_a_strange_label_is_refused():
    for code in (0, 2, 9):
        with pytest.raises(InputError, match=f"decoding makes {code} of 'a'"):
            require_decodable({"R": (1,)}, (code,), {"a": 1, "b": 2})


def test_one_region_under_two_names_is_refused():
    with pytest.raises(InputError, match="'core' and 'tumour' are the same"):
        LabelScheme({"a": 1, "b": 2}, {"all": (1, 2), "core": (2,), "tumour": (2,)})
