from __future__ import annotations

import errno
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medseg import atomic
from medseg.data.case import Case, Dataset
from medseg.data.prepare import cache, sources
from medseg.data.prepare.cache import Cache, load, prepare_dataset
from medseg.data.prepare.entry import intact, sample_locations, verify
from medseg.data.prepare.steps import invert_index_array
from medseg.errors import InputError, InputErrors
from medseg.labels import LabelScheme
from medseg.planning.plan import Normalisation, PreprocessingPlan

PLAN = PreprocessingPlan("RAS", "nonzero", (1.0, 1.0, 1.0), (Normalisation(),))


def dataset(root: Path, count: int = 3) -> Dataset:
    rng = np.random.default_rng(0)
    cases = []
    root.mkdir(exist_ok=True)
    for number in range(count):
        image = rng.integers(1, 100, (9, 10, 11)).astype(np.int16)
        label = np.zeros(image.shape, np.uint8)
        label[2:6, 3:7, 4:8] = 1 + number % 2
        affine = np.diag([-1.0, 1.0, 1.0 + 0.5 * number, 1.0])
        nib.save(nib.Nifti1Image(image, affine), root / f"{number}.nii.gz")
        nib.save(nib.Nifti1Image(label, affine), root / f"{number}_seg.nii.gz")
        for path in (root / f"{number}.nii.gz", root / f"{number}_seg.nii.gz"):
            os.utime(path, (1e9, 1e9))  # long settled
        cases.append(
            Case(f"c/{number}", (root / f"{number}.nii.gz",), root / f"{number}_seg.nii.gz")
        )
    return Dataset("test", root, tuple(cases), ("MR",), LabelScheme({"a": 1, "b": 2}))


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return dataset(tmp_path / "data")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.mark.parametrize("workers", [0, 2])
def test_each_case_is_built_once(data, root, workers):
    progress = []
    first = prepare_dataset(
        data, PLAN, root, workers=workers, progress=lambda *p: progress.append(p)
    )
    assert first.built == ("c/0", "c/1", "c/2")
    assert progress[-1] == (3, 3)
    again = prepare_dataset(data, PLAN, root, workers=workers)
    assert again.built == ()
    assert again.entries == first.entries
    assert not list(root.glob(".tmp*"))


@pytest.mark.parametrize("mmap", [True, False])
def test_an_entry_holds_the_prepared_case(data, root, mmap):
    case = prepare_dataset(data, PLAN, root).load("c/1", mmap=mmap)
    assert case.id == "c/1"
    assert isinstance(case.image, np.memmap) == mmap
    assert case.image.dtype == np.float32
    assert case.image.shape == (1, 9, 10, 16)
    assert case.image.flags["C_CONTIGUOUS"]
    assert case.label.dtype == np.uint8
    assert case.image.mean() == pytest.approx(0, abs=0.2)
    assert list(case.locations) == [2]
    assert (np.asarray(case.label)[tuple(case.locations[2].T)] == 2).all()
    assert len(case.locations[2]) == (case.label == 2).sum()
    assert case.grid.shape == case.label.shape
    original = np.asarray(nib.load(data.cases[1].label).dataobj)
    assert (invert_index_array(case.record, np.asarray(case.label)) == original).mean() > 0.98


def test_a_memory_mapped_case_travels_to_other_processes_as_a_path(data, root):
    case = prepare_dataset(data, PLAN, root).load("c/0")
    packed = pickle.dumps(case)
    assert len(packed) < 1000
    assert np.array_equal(pickle.loads(packed).image, case.image)


def test_a_case_in_memory_travels_whole(data, root):
    case = prepare_dataset(data, PLAN, root).load("c/0", mmap=False)
    copy = pickle.loads(pickle.dumps(case))
    assert np.array_equal(copy.image, case.image)
    assert copy.record == case.record


def test_memory_maps_cannot_change_the_cache(data, root):
    with pytest.raises(ValueError, match="read-only"):
        prepare_dataset(data, PLAN, root).load("c/0").image[0, 0, 0, 0] = 5


@pytest.mark.parametrize(
    "change",
    [
        lambda d, p: (d, replace(p, spacing=(2.0, 2.0, 2.0))),
        lambda d, p: (d, replace(p, crop="none")),
        lambda d, p: (d, replace(p, normalisation=(Normalisation(masked=True),))),
        lambda d, p: (replace(d, value_map={1: 2}), p),
        lambda d, p: (replace(d, labels=LabelScheme({"a": 1, "b": 2, "c": 3})), p),
    ],
)
def test_whatever_decides_the_contents_makes_new_entries(data, root, change):
    prepare_dataset(data, PLAN, root)
    other = prepare_dataset(*change(data, PLAN), root)
    assert len(other.built) == 3
    assert prepare_dataset(data, PLAN, root).built == ()


def test_another_schema_number_makes_new_entries(data, root, monkeypatch):
    prepare_dataset(data, PLAN, root)
    monkeypatch.setattr(cache, "SCHEMA", cache.SCHEMA + 1)
    assert len(prepare_dataset(data, PLAN, root).built) == 3


def test_new_contents_make_a_new_entry_and_a_new_date_does_not(data, root):
    prepare_dataset(data, PLAN, root)
    path = data.cases[1].images[0]
    path.touch()
    assert prepare_dataset(data, PLAN, root).built == ()
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine), path)
    assert prepare_dataset(data, PLAN, root).built == ("c/1",)


def test_unchanged_files_are_not_read_again(data, root, monkeypatch):
    prepare_dataset(data, PLAN, root)
    monkeypatch.setattr(sources, "checksum", lambda path: pytest.fail(f"{path} was read"))
    assert prepare_dataset(data, PLAN, root).built == ()


def test_a_file_changed_a_moment_ago_is_not_trusted_to_its_date(data, root):
    path = data.cases[0].images[0]
    now = time.time()
    os.utime(path, (now, now))
    prepare_dataset(data, PLAN, root)
    status = path.stat()
    contents = bytearray(path.read_bytes())
    image = nib.load(path)
    changed = nib.Nifti1Image(99 - np.asarray(image.dataobj), image.affine)
    nib.save(changed, path)
    grown = path.read_bytes()
    path.write_bytes((grown + bytes(len(contents)))[: max(len(grown), len(contents))])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    if path.stat().st_size == status.st_size:
        assert prepare_dataset(data, PLAN, root).built == ("c/0",)


def test_a_broken_memo_costs_time_only(data, root):
    prepare_dataset(data, PLAN, root)
    for junk in ("", "[1, 2]", '{"x": 3}'):
        (root / "sources.json").write_text(junk)
        assert prepare_dataset(data, PLAN, root).built == ()


@pytest.mark.parametrize("name", ["image.npy", "label.npy", "locations.npz", "case.json"])
@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_damaged_entry_is_rebuilt(data, root, name, harm):
    path = prepare_dataset(data, PLAN, root).entries["c/0"] / name
    whole = path.read_bytes()
    if harm == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        path.unlink()
    assert not intact(path.parent)
    again = prepare_dataset(data, PLAN, root)
    assert again.built == ("c/0",)
    assert verify(again.entries["c/0"])
    assert path.read_bytes() == whole or name == "locations.npz"


def test_a_flipped_bit_is_found_by_verify(data, root):
    path = prepare_dataset(data, PLAN, root).entries["c/0"] / "image.npy"
    contents = bytearray(path.read_bytes())
    contents[-5] ^= 4
    path.write_bytes(contents)
    assert intact(path.parent)
    assert not verify(path.parent)
    assert prepare_dataset(data, PLAN, root).built == ()
    assert prepare_dataset(data, PLAN, root, verify=True).built == ("c/0",)
    assert verify(path.parent)


def test_all_failing_cases_are_named_and_the_others_are_kept(data, root):
    data.cases[0].images[0].write_bytes(b"junk")
    wrong = np.zeros((9, 10, 12), np.uint8)
    nib.save(nib.Nifti1Image(wrong, np.eye(4)), data.cases[2].label)
    with pytest.raises(InputErrors) as caught:
        prepare_dataset(data, PLAN, root)
    text = str(caught.value)
    assert "case c/0" in text
    assert "0.nii.gz" in text
    assert "case c/2" in text
    assert "2_seg.nii.gz" in text
    assert [p.name.rsplit("-")[0] for p in root.iterdir() if p.is_dir()] == ["c_1"]


def test_a_missing_file_is_an_input_error(data, root):
    data.cases[0].images[0].unlink()
    with pytest.raises(InputError, match=r"0\.nii\.gz"):
        prepare_dataset(data, PLAN, root)


def test_a_full_disk_leaves_nothing_half_written(data, root, monkeypatch):
    prepare_dataset(replace(data, cases=data.cases[:1]), PLAN, root)
    real, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(InputError, match="no space left"):
        prepare_dataset(data, PLAN, root)
    monkeypatch.undo()
    assert not list(root.glob(".tmp*"))
    assert all(verify(p) for p in root.iterdir() if p.is_dir())


def test_the_loser_of_a_race_keeps_the_winners_entry(data, root):
    entry = prepare_dataset(data, PLAN, root).entries["c/0"]
    before = (entry / "case.json").stat().st_ino
    with Cache(root).writing(entry) as folder:
        for part in entry.iterdir():
            shutil.copy(part, folder)
    assert (entry / "case.json").stat().st_ino == before
    assert not list(root.glob(".tmp*"))


def test_processes_may_share_a_cache(data, root):
    code = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from pathlib import Path\n"
        "import test_cache as t\n"
        "from medseg.data.prepare.cache import prepare_dataset\n"
        "d = t.dataset(Path(sys.argv[2]), 8)\n"
        "i = prepare_dataset(d, t.PLAN, sys.argv[1])\n"
        "from medseg.data.prepare.entry import verify\n"
        "assert all(verify(p) for p in i.entries.values())\n"
    )
    paths = [str(Path(__file__).parent), *sys.path]
    run = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(root), str(root.parent / f"d{i}"), *paths]
        )
        for i in range(2)
    ]
    assert [p.wait(timeout=120) for p in run] == [0, 0]
    assert len([p for p in root.iterdir() if p.is_dir()]) == 8


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.06])
def test_a_kill_at_any_moment_leaves_whole_entries_only(data, root, tmp_path, delay):
    code = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from pathlib import Path\n"
        "import test_cache as t\n"
        "from medseg.data.prepare.cache import prepare_dataset\n"
        "d = t.dataset(Path(sys.argv[2]), 40)\n"
        "print('ready', flush=True)\n"
        "prepare_dataset(d, t.PLAN, sys.argv[1])\n"
    )
    paths = [str(Path(__file__).parent), *sys.path]
    run = subprocess.Popen(
        [sys.executable, "-c", code, str(root), str(tmp_path / "many"), *paths],
        stdout=subprocess.PIPE,
    )
    assert run.stdout.readline() == b"ready\n"
    time.sleep(delay)
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    whole = [p for p in root.glob("*") if p.is_dir() and not p.name.startswith(".")]
    assert all(verify(p) for p in whole)
    index = prepare_dataset(dataset(tmp_path / "many", 40), PLAN, root)
    assert len(index.built) == 40 - len(whole)
    assert not list(root.glob(".tmp*"))


def test_only_stale_leftovers_are_swept(root):
    root.mkdir()
    host = socket.gethostname()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = {
        "mine": f".tmp-{host}-{os.getpid()}-aa",
        "ended": f".tmp-{host}-{ended.pid}-bb",
        "elsewhere": f".tmp-other-host-{ended.pid}-cc",
        "old": ".tmp-other-host-1-dd",
    }
    for name in names.values():
        (root / name).mkdir()
        (root / name / "image.npy").touch()
    os.utime(root / names["old"], (time.time() - 7200,) * 2)
    Cache(root).sweep()
    assert {p.name for p in root.iterdir()} == {names["mine"], names["elsewhere"]}


def test_ids_become_safe_folder_names(root):
    store = Cache(root)
    for case_id in ("../../etc", "a b/c", "..", "", "ü" * 300):
        path = store.path(case_id, "0" * 32)
        assert path.parent == root
        assert path.name[0] != "."
        assert len(path.name) < 130


def test_few_locations_are_all_kept_and_many_are_sampled_evenly():
    label = np.zeros((60, 60, 60), np.uint8)
    label[:, :30] = 1
    label[5, 40, 5:8] = 2
    found = sample_locations(label)
    assert sorted(found) == [1, 2]
    assert found[2].tolist() == [[5, 40, 5], [5, 40, 6], [5, 40, 7]]
    assert len(found[1]) == 10_000
    assert len(np.unique(found[1], axis=0)) == 10_000
    assert (label[tuple(found[1].T)] == 1).all()
    assert found[1].mean(axis=0) == pytest.approx([29.5, 14.5, 29.5], abs=0.6)
    assert np.array_equal(found[1], sample_locations(label)[1])


def test_of_a_huge_class_one_percent_is_kept():
    assert len(sample_locations(np.ones((50, 50, 50), np.uint8), most=100)[1]) == 1250


def test_an_empty_label_has_no_locations():
    assert sample_locations(np.zeros((4, 5), np.uint8)) == {}


def test_208_real_cases_start_warm_in_half_a_second(real_data, root):
    folder = real_data("Task04_Hippocampus")
    images = sorted((folder / "imagesTr").glob("hippocampus_*.nii.gz"))
    cases = tuple(Case(p.name[:-7], (p,), folder / "labelsTr" / p.name) for p in images)
    real = Dataset("decathlon", folder, cases, ("MRI",), LabelScheme({"a": 1, "p": 2}))
    assert len(prepare_dataset(real, PLAN, root).built) == 208
    begin = time.perf_counter()
    index = prepare_dataset(real, PLAN, root)
    assert time.perf_counter() - begin < 0.5
    assert index.built == ()
    assert load(index.entries["hippocampus_001"]).image.shape == (1, 35, 51, 35)
