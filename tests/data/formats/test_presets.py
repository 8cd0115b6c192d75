from __future__ import annotations

import pytest

from medseg.data.formats import presets
from medseg.errors import InputError

TC = {
    "brats2018": (1, 4),
    "brats2019": (1, 4),
    "brats2020": (1, 4),
    "brats2021": (1, 4),
    "brats2023": (1, 3),
    "brats2024_gli": (1, 3),
    "msd_task01": (2, 3),
}


@pytest.mark.parametrize(("name", "members"), TC.items())
def test_the_tumour_core_is_that_of_the_year(name, members):
    assert presets.get(name).regions["TC"] == members


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_gives_a_scheme_that_can_be_decoded(name):
    scheme = presets.get(name).labels
    assert len(scheme.order) == len(scheme.regions)
    assert scheme.foreground
    assert presets.get(name).channels


def test_decoding_the_regions_gives_back_the_labels():
    for name in TC:
        scheme = presets.get(name).labels
        for value in list(scheme.values.values())[1:]:
            decoded = 0
            for written, members in zip(scheme.order, scheme.regions.values(), strict=True):
                decoded = written if value in members else decoded
            assert decoded == value, name


def test_an_unknown_preset_gets_a_suggestion():
    with pytest.raises(InputError, match="did you mean 'brats2021'"):
        presets.get("brats21")


def test_regions_of_a_preset_without_any_are_refused():
    with pytest.raises(InputError, match="has no regions"):
        presets.get("msd_task04").scheme(regions=True)


def test_the_unconfirmed_preset_says_so():
    assert "not confirmed" in presets.get("brats2024_ped").caution
