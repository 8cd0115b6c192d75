from __future__ import annotations

import numpy as np
import pytest

from medseg.data.case import Case
from medseg.errors import InputError, InputErrors
from medseg.stages import new_objects
from medseg.stages.reporter import Reporter
from tests.detectors import save_run, save_scan, save_series, scene

SCENE = scene((16, 16, 24), ((8, 0, 16), 1))


@pytest.fixture
def find(tmp_path):
    """Find objects in scans, by their names, into a folder ``out``."""
    run = save_run(tmp_path / "run")

    def act(*cases: Case, output=None, **options):
        return new_objects.predict(
            [run],
            cases,
            output or tmp_path / "out",
            report=Reporter(quiet=True),
            device="cpu",
            trust=("tests",),
            **options,
        )

    return act


@pytest.fixture
def scan(tmp_path):
    def make(name: str, image: np.ndarray = SCENE) -> Case:
        return Case(name, (save_scan(tmp_path / "scans" / f"{name}.nii.gz", image),))

    return make


def test_it_says_what_was_found_in_each_case(find, scan):
    one, none = find(scan("a"), scan("b", np.zeros_like(SCENE)))
    assert (one.case, one.found, none.found) == ("a", {"nodule": 1}, {})
    assert all(path.is_file() for path in (*one.files, *none.files))


def test_a_case_that_fails_does_not_stop_the_others(find, scan, tmp_path):
    broken = scan("a")
    broken.images[0].write_bytes(broken.images[0].read_bytes()[:-200])
    flat = scan("c", SCENE[..., None].repeat(2, -1))
    with pytest.raises(InputErrors) as error:
        find(broken, scan("b"), flat)
    assert [problem.file.name for problem in error.value.problems] == ["a.nii.gz", "c.nii.gz"]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["b.json", "b.mrk.json", "b_boxes.nii.gz"]


def test_what_is_there_is_replaced_only_if_asked(find, scan, tmp_path):
    find(scan("a"))
    (tmp_path / "out" / "a.json").write_text("mine")
    with pytest.raises(InputError, match="files of these cases already") as error:
        find(scan("b"), scan("a"))
    assert "a.json" in error.value.found and not (tmp_path / "out" / "b.json").exists()
    assert (tmp_path / "out" / "a.json").read_text() == "mine"
    find(scan("a"), overwrite=True)
    assert (tmp_path / "out" / "a.json").read_text() != "mine"


def test_outlines_that_are_there_count_as_the_cases_files(find, scan, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_instances.json").write_text("mine")
    with pytest.raises(InputError, match="already"):
        find(scan("a"))


def test_the_folder_of_the_images_is_no_output(find, scan, tmp_path):
    for overwrite in (False, True):
        with pytest.raises(InputError, match="holds the images"):
            find(scan("a"), output=tmp_path / "scans", overwrite=overwrite)


@pytest.mark.parametrize("place", ["scans", "scans/p1"])
def test_nor_is_that_of_a_dicom_series_or_the_series_itself(find, tmp_path, place):
    pytest.importorskip("pydicom")
    series = save_series(tmp_path / "scans" / "p1", SCENE)
    with pytest.raises(InputError, match="holds the images"):
        find(Case("p1", (series,)), output=tmp_path / place)
    assert all(path.suffix == ".dcm" for path in series.iterdir())


def test_an_output_that_is_a_file_is_refused(find, scan, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="the output is a file"):
        find(scan("a"))


def test_cases_whose_files_would_meet_are_refused(find, scan):
    with pytest.raises(InputError, match="the same file") as error:
        find(scan("a"), scan("a_instances"))
    assert error.value.file.name == "a_instances.json"


def test_ids_do_not_lead_out_of_the_folder(find, scan):
    stray = Case("../a", scan("a").images)
    with pytest.raises(InputError, match="leaves the output folder"):
        find(stray)
