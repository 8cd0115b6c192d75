from __future__ import annotations

import errno
import json
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

from medseg.data.case import Case, Dataset
from medseg.data.prepare import cache, entry, lazy, making, sources
from medseg.data.prepare.cache import Cache, CacheIndex, load, prepare_dataset
from medseg.data.prepare.entry import verify
from medseg.data.prepare.fingerprint import fingerprint
from medseg.data.prepare.space import DiskFull, expected_bytes, require_space
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


def flip(path: Path) -> None:
    contents = bytearray(path.read_bytes())
    contents[-5] ^= 4
    path.write_bytes(contents)


def aged(index: CacheIndex) -> CacheIndex:
    """Let what was written just now count as settled."""
    ledger = index.root / "index.json"
    state = json.loads(ledger.read_text())
    for path in index.entries.values():
        newest = max(f.stat().st_ctime_ns for f in path.iterdir())
        state["entries"][path.name][-1] = newest
    ledger.write_text(json.dumps(state))
    return index


def forget(path: Path) -> None:
    """Flip a bit as a failing disk does: the file's dates stay."""
    flip(path)
    ledger = path.parents[1] / "index.json"
    state = json.loads(ledger.read_text())
    state["entries"][path.parent.name][-1] = max(
        f.stat().st_ctime_ns for f in path.parent.iterdir()
    )
    ledger.write_text(json.dumps(state))


def full_after(count: int):
    real, calls = entry._save, []

    def save(path: Path, array: np.ndarray) -> list[int]:
        calls.append(path)
        if len(calls) > count:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, array)

    return save


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
    assert case.image.flags.writeable != mmap
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


def test_a_cache_of_an_older_version_is_replaced_and_this_is_said(data, root, monkeypatch):
    old, said = prepare_dataset(data, PLAN, root), []
    monkeypatch.setattr(making, "SCHEMA", making.SCHEMA + 1)
    new = prepare_dataset(data, PLAN, root, say=said.append)
    assert len(new.built) == 3
    assert not any(path.exists() for path in old.entries.values())
    assert len(said) == 1
    assert "another version of medseg (format 2; this one writes 3)" in said[0]
    assert prepare_dataset(data, PLAN, root, say=said.append).built == ()
    assert len(said) == 1


def test_the_first_version_of_the_format_is_recognised(data, root):
    old = root / "c_0-0123456789abcdef01234567"
    old.mkdir(parents=True)
    (old / "case.json").write_text('{"id": "c/0", "schema": 1, "files": {}}')
    said = []
    prepare_dataset(data, PLAN, root, say=said.append)
    assert not old.exists()
    assert "format 1" in said[0]


def test_folders_that_are_no_entries_are_left_alone(data, root):
    (root / "mine").mkdir(parents=True)
    prepare_dataset(data, PLAN, root)
    assert (root / "mine").is_dir()


def test_entries_of_a_newer_version_are_left_alone(data, root, monkeypatch):
    new = root / "c_0-0123456789abcdef01234567"
    new.mkdir(parents=True)
    (new / "case.json").write_text('{"schema": 99}')
    prepare_dataset(data, PLAN, root)
    assert new.is_dir()


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
    monkeypatch.setattr(sources, "file_digest", lambda path: pytest.fail(f"{path} was read"))
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


@pytest.mark.parametrize("name", ["image.npy", "label.npy", "locations.npy", "case.json"])
@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_damaged_entry_is_rebuilt(data, root, name, harm):
    path = prepare_dataset(data, PLAN, root).entries["c/0"] / name
    whole = path.read_bytes()
    if harm == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        path.unlink()
    assert not verify(path.parent)
    again = prepare_dataset(data, PLAN, root)
    assert again.built == ("c/0",)
    assert verify(again.entries["c/0"])
    assert path.read_bytes() == whole


@pytest.mark.parametrize("name", ["image.npy", "label.npy", "locations.npy", "case.json"])
def test_a_flipped_bit_is_found_and_the_case_made_anew(data, root, name):
    said = []
    prepare_dataset(data, PLAN, root)
    path = prepare_dataset(data, PLAN, root).entries["c/0"] / name
    whole = path.read_bytes()
    flip(path)
    assert not verify(path.parent)
    assert prepare_dataset(data, PLAN, root, say=said.append).built == ("c/0",)
    assert path.read_bytes() == whole
    assert said == ["the cached files of c/0 are damaged; made anew from their source"]


def test_what_a_disk_forgets_without_a_trace_is_found_when_all_is_read(data, root):
    path = aged(prepare_dataset(data, PLAN, root)).entries["c/0"] / "image.npy"
    prepare_dataset(data, PLAN, root)
    forget(path)
    assert not verify(path.parent)
    assert prepare_dataset(data, PLAN, root).built == ()
    assert prepare_dataset(data, PLAN, root, verify=True).built == ("c/0",)


@pytest.mark.parametrize("mmap", [True, False])
def test_a_damaged_case_is_made_anew_when_it_is_first_looked_into(data, root, mmap, caplog):
    index = prepare_dataset(data, PLAN, root)
    case, copy = index.load("c/0", mmap=mmap), index.load("c/0", mmap=mmap)
    before = np.array(load(case.entry).image)
    flip(case.entry / "image.npy")
    assert np.array_equal(case.image, before)
    assert "c/0: the cached files were damaged; made anew" in caplog.text
    assert np.array_equal(copy.image, before)
    assert verify(case.entry)


def test_a_damaged_case_without_its_source_is_an_error_that_says_what_to_do(data, root):
    index = prepare_dataset(data, PLAN, root)
    case = pickle.loads(pickle.dumps(index.load("c/0")))
    flip(case.entry / "label.npy")
    with pytest.raises(InputError, match="c/0: the cached files are damaged") as caught:
        case.label.sum()
    assert "label.npy" in caught.value.found
    assert "made anew" in caught.value.remedy


def test_of_a_damaged_case_whose_source_is_gone_both_are_named(data, root):
    index = prepare_dataset(data, PLAN, root)
    case = index.load("c/0")
    flip(case.entry / "image.npy")
    data.cases[0].images[0].unlink()
    with pytest.raises(InputError, match="c/0: its cached files are damaged") as caught:
        case.image.sum()
    assert data.cases[0].images[0] == caught.value.file
    assert str(case.entry) in caught.value.remedy


def test_cases_of_a_newer_version_are_said_to_stay(data, root, monkeypatch):
    prepare_dataset(data, PLAN, root)
    said = []
    monkeypatch.setattr(making, "SCHEMA", making.SCHEMA - 1)
    prepare_dataset(data, PLAN, root, say=said.append)
    assert any("newer version" in line and "3 cases" in line for line in said)


@pytest.mark.parametrize("make", [lambda p: p.write_text("x"), lambda p: p.symlink_to("nowhere")])
def test_a_cache_that_is_no_folder_is_named_with_its_remedy(data, root, make):
    root.parent.mkdir(parents=True, exist_ok=True)
    make(root)
    with pytest.raises(InputError, match="not a folder") as caught:
        prepare_dataset(data, PLAN, root)
    assert "remove it" in caught.value.remedy


def test_contents_are_compared_once_in_a_run(data, root, monkeypatch):
    index = prepare_dataset(data, PLAN, root)
    index.load("c/0").image.sum()
    monkeypatch.setattr(entry.zlib, "crc32", lambda *_: pytest.fail("compared again"))
    index.load("c/0", mmap=False).image.sum()


def test_touched_but_whole_entries_are_kept(data, root):
    index = prepare_dataset(data, PLAN, root)
    for path in index.entries["c/1"].iterdir():
        path.touch()
    assert prepare_dataset(data, PLAN, root).built == ()


@pytest.mark.parametrize("junk", [None, "", "[1]", '{"schema": 2, "entries": {"x": 3}}'])
def test_a_lost_or_broken_index_costs_time_only(data, root, junk):
    first = prepare_dataset(data, PLAN, root)
    (root / "index.json").unlink()
    if junk is not None:
        (root / "index.json").write_text(junk)
    again = prepare_dataset(data, PLAN, root)
    assert again.built == ()
    assert again.rows == first.rows


def test_a_warm_start_opens_no_entry(data, root, monkeypatch):
    aged(prepare_dataset(data, PLAN, root))
    prepare_dataset(data, PLAN, root)
    monkeypatch.setattr(cache, "verified_row", lambda path: pytest.fail(f"{path} was read"))
    monkeypatch.setattr(lazy, "open_arrays", lambda path, *_, **__: pytest.fail(f"{path} opened"))
    index = prepare_dataset(data, PLAN, root)
    cases = index.load_all()
    assert [c.shape for c in cases] == [(9, 10, 11), (9, 10, 16), (9, 10, 22)]
    assert [c.channels for c in cases] == [1, 1, 1]
    real = sum(f.stat().st_size for c in cases for f in c.entry.glob("*.npy"))
    assert sum(c.nbytes for c in cases) == index.nbytes() == real
    assert index.counts["c/1"] == (9 * 10 * 16 - index.counts["c/1"][2], 0, index.counts["c/1"][2])


def test_counts_are_those_of_the_preprocessed_label(data, root):
    index = prepare_dataset(data, PLAN, root)
    for case, counts in index.counts.items():
        label = index.load(case).label
        assert counts == tuple(int((label == i).sum()) for i in range(3))


def test_only_so_many_memory_maps_are_open_at_a_time(data, root, monkeypatch):
    monkeypatch.setattr(lazy, "_most_mapped", lambda: 2)
    cases = prepare_dataset(data, PLAN, root).load_all()
    sums = [float(c.image.sum()) for c in cases * 2]
    assert sums[:3] == sums[3:]
    assert sum(c._arrays is not None for c in cases) == 2


def test_a_case_can_be_read_into_memory_and_dropped_again(data, root):
    case = prepare_dataset(data, PLAN, root).load("c/0")
    assert not case.image.flags.writeable
    assert case.load().image.flags.writeable
    case.close()
    assert np.array_equal(case.image, load(case.entry).image)


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
    monkeypatch.setattr(entry, "_save", full_after(2))
    with pytest.raises(DiskFull, match="no space left") as caught:
        prepare_dataset(data, PLAN, root)
    assert "the 2 cases left" in caught.value.expected
    assert "free" in caught.value.found
    monkeypatch.undo()
    assert not list(root.glob(".tmp*"))
    assert all(verify(p) for p in root.iterdir() if p.is_dir())
    assert prepare_dataset(data, PLAN, root).built == ("c/1", "c/2")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs RLIMIT_FSIZE")
def test_a_write_that_the_system_cuts_short_is_told(data, root):
    import resource

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with pytest.raises(InputError, match="ulimit -f"):
            prepare_dataset(data, PLAN, root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert not [p for p in root.iterdir() if p.is_dir()]
    assert len(prepare_dataset(data, PLAN, root).built) == 3


def test_what_will_not_fit_is_not_begun(data, root):
    def before(missing):
        assert missing == ("c/0", "c/1", "c/2")
        require_space(root, 10**18)

    with pytest.raises(DiskFull, match="no space left") as caught:
        prepare_dataset(data, PLAN, root, before=before)
    assert "1000000000.0 GB" in caught.value.expected
    assert not root.exists() or not [p for p in root.iterdir() if p.is_dir()]


def test_the_size_of_a_cache_is_foretold(data, root):
    foretold = expected_bytes(fingerprint(data), PLAN)
    index = prepare_dataset(data, PLAN, root)
    real = sum(f.stat().st_size for path in index.entries.values() for f in path.iterdir())
    assert real * 0.9 < foretold < real * 2.0  # tiny cases: mostly what comes beside the voxels
    labels = sum(case.label.nbytes for case in index.load_all())
    assert expected_bytes(fingerprint(data), PLAN, guided=True) - foretold == labels


def test_a_source_that_changes_while_it_is_read_is_told_and_not_kept(data, root, monkeypatch):
    real = making.read_image

    def slow(case, **how):
        volume = real(case, **how)
        if case.id == "c/1":
            case.images[0].touch()
        return volume

    monkeypatch.setattr(making, "read_image", slow)
    with pytest.raises(InputError, match="changed while this job used it") as caught:
        prepare_dataset(data, PLAN, root)
    assert "1.nii.gz" in str(caught.value.file)
    assert "2001-09-09" in caught.value.expected
    assert not list(root.glob("c_1*"))
    monkeypatch.undo()
    assert prepare_dataset(data, PLAN, root).built == ("c/1",)


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
        name = store.name(case_id, "0" * 32)
        assert (root / name).parent == root
        assert name[0] != "."
        assert len(name) < 130


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
