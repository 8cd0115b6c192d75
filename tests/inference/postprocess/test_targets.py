import numpy as np
import pytest

from medseg.errors import InputError
from medseg.inference.postprocess.targets import FOREGROUND, find_target
from medseg.labels import LabelScheme


def moves(table, scheme):
    """Give which label becomes which, by name."""
    names = list(scheme.values)
    return {name: names[table[i]] for i, name in enumerate(names) if table[i] != i}


@pytest.mark.parametrize(
    ("name", "left", "joined"),
    [
        (
            "ET",
            {"enhancing": "necrosis"},
            {"background": "enhancing", "necrosis": "enhancing", "oedema": "enhancing"},
        ),
        (
            "TC",
            {"necrosis": "oedema", "enhancing": "oedema"},
            {"background": "necrosis", "oedema": "necrosis"},
        ),
        (
            "WT",
            dict.fromkeys(("necrosis", "oedema", "enhancing"), "background"),
            {"background": "oedema"},
        ),
    ],
)
def test_what_leaves_a_tumour_region_falls_to_the_one_around_it(brats, name, left, joined):
    found = find_target(name, brats)
    assert moves(found.left, brats) == left
    assert moves(found.joined, brats) == joined


def test_exclusive_classes_leave_to_the_background_and_take_nothing_but_it(organs):
    found = find_target("spleen", organs)
    assert moves(found.left, organs) == {"spleen": "background"}
    assert moves(found.joined, organs) == {"background": "spleen"}


def test_the_foreground_is_every_class(organs, brats):
    for scheme in (organs, brats):
        found = find_target(FOREGROUND, scheme)
        assert moves(found.left, scheme) == dict.fromkeys(list(scheme.values)[1:], "background")
        assert moves(found.joined, scheme) == {}


def test_a_class_named_foreground_goes_first():
    scheme = LabelScheme({"foreground": 1, "other": 2})
    assert np.flatnonzero(find_target("foreground", scheme).inside).tolist() == [1]


def test_regions_that_cross_keep_what_they_do_not_share():
    regions = {"A": (1, 2), "B": (2, 3), "C": (2,)}
    scheme = LabelScheme({"a": 1, "both": 2, "b": 3}, regions, order=(1, 3, 2))
    assert moves(find_target("A", scheme).left, scheme) == {"both": "b", "a": "background"}
    assert moves(find_target("B", scheme).left, scheme) == {"both": "a", "b": "background"}
    assert moves(find_target("A", scheme).joined, scheme) == {"b": "both", "background": "a"}


def test_of_labels_in_the_same_regions_the_one_that_decoding_writes_is_taken():
    scheme = LabelScheme(
        {"cyst": 1, "tissue": 2, "tumour": 3}, {"kidney": (1, 2, 3), "mass": (3,)}, order=(2, 3)
    )
    assert moves(find_target("mass", scheme).left, scheme) == {"tumour": "tissue"}
    assert moves(find_target("kidney", scheme).joined, scheme) == {"background": "tissue"}


@pytest.mark.parametrize("name", ["WT", "TC", "ET"])
def test_tables_agree_with_what_the_regions_say(brats, name):
    found = find_target(name, brats)
    outputs = dict(zip(brats.foreground, brats.region_indices(), strict=True))

    def regions(index):
        return {region for region, members in outputs.items() if index in members}

    for index in range(len(brats.values)):
        if found.inside[index]:
            assert name not in regions(found.left[index])
            assert regions(found.left[index]) <= regions(index)
        else:
            assert regions(found.joined[index]) >= regions(index) | {name}


def test_voxels_that_nobody_labelled_stay(organs):
    found = find_target("liver", organs)
    assert not found.inside[254] and found.left[254] == found.joined[254] == 254


def test_an_unknown_name_is_refused_with_the_known_ones(brats, organs):
    with pytest.raises(InputError, match="no region 'et'") as error:
        find_target("et", brats)
    assert "WT, TC, ET, foreground" in error.value.expected and "'ET'" in error.value.remedy
    with pytest.raises(InputError, match="no class 'kidney'"):
        find_target("kidney", organs)
