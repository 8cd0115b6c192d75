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
    "brats2023_men": (1, 3),
    "brats2023_met": (1, 3),
    "brats2023_ped": (1, 3),
    "brats2024_gli": (1, 3),
    "brats2024_ped": (1, 2, 3),
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
    for name in (*TC, "kits19", "kits23", "lits"):
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


@pytest.mark.parametrize(
    ("case", "fitting"),
    [
        ("Brats18_2013_10_1", ["brats2018"]),
        ("BraTS20_Training_001", ["brats2020"]),
        ("BraTS2021_00000", ["brats2021"]),
        ("BraTS-SSA-00002-000", ["brats2023"]),
        ("BraTS-GLI-00005-100", ["brats2023", "brats2024_gli"]),
        ("BraTS-MEN-00004-000", ["brats2023_men"]),
        ("BraTS-MEN-RT-0003-1", ["brats2024_men_rt"]),
        ("BraTS-PED-00002-000", ["brats2023_ped", "brats2024_ped"]),
        ("patient_1", []),
    ],
)
def test_names_of_cases_tell_the_data_set(case, fitting):
    assert [p.name for p in presets.fitting_names([case])] == fitting
    assert presets.fitting_names([case, "another"]) == []
    assert presets.fitting_names([]) == []


@pytest.mark.parametrize(
    ("values", "ids", "family", "fitting"),
    [
        ({0, 1, 2, 4}, (), "brats", ["brats2018", "brats2019", "brats2020", "brats2021"]),
        ({1, 2, 4}, ("BraTS20_Training_001",), "brats", ["brats2020"]),
        ({1, 2, 3}, ("BraTS-MET-00002-000",), "brats", ["brats2023_met"]),
        ({1, 2, 3}, (), "kits", ["kits23"]),
        # Exactly these values first, in whatever year; then the fewest more.
        ({1, 2, 4}, ("BraTS-GLI-00000-000",), "brats", ["brats2018", "brats2019"]),
        ({1, 2}, (), "kits", ["kits19"]),
        ({4}, ("BraTS-GLI-00000-000",), "brats", ["brats2024_gli"]),
        ({9}, (), "brats", []),
        ({0}, (), "brats", []),
    ],
)
def test_values_of_masks_tell_the_preset(values, ids, family, fitting):
    found = [p.name for p in presets.fitting_values(values, ids, family=family)]
    assert found[: len(fitting)] == fitting and bool(found) == bool(fitting)


def test_presets_mean_the_same_when_their_regions_do():
    get = presets.get
    assert get("brats2018").means_the_same(get("brats2021"))
    assert get("brats2023").means_the_same(get("brats2023_men"))
    assert not get("brats2021").means_the_same(get("brats2023"))
    assert not get("brats2024_gli").means_the_same(get("brats2024_ped"))
    assert not get("msd_task06").means_the_same(get("msd_task09"))
