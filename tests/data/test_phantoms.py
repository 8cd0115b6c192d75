from __future__ import annotations

import errno
import json

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from medseg.data import formats, phantoms
from medseg.data.phantoms import layouts
from medseg.errors import InputError

SMALL = {
    "mr": (24, 28, 20),
    "brats": (24, 24, 20),
    "cells": (32, 32),
    "nodules": (40, 32, 24),
}


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", phantoms.KINDS)
def test_one_seed_gives_one_data_set_and_another_seed_another(tmp_path, kind):
    first = phantoms.write(kind, tmp_path / "a", cases=2, seed=3, shape=SMALL[kind])
    again = phantoms.write(kind, tmp_path / "b", cases=2, seed=3, shape=SMALL[kind])
    other = phantoms.write(kind, tmp_path / "c", cases=2, seed=4, shape=SMALL[kind])
    assert contents(first) == contents(again)
    assert contents(first) != contents(other)


def test_a_case_does_not_depend_on_how_many_there_are(tmp_path):
    few = contents(phantoms.write("cells", tmp_path / "a", cases=1))
    many = contents(phantoms.write("cells", tmp_path / "b", cases=3))
    pictures = [name for name in few if name.suffix == ".png"]
    assert len(pictures) == 2
    assert all(few[name] == many[name] for name in pictures)


@pytest.mark.parametrize("kind", phantoms.KINDS)
def test_the_layout_is_recognised_and_read(tmp_path, kind):
    root = phantoms.write(kind, tmp_path / kind, cases=3, shape=SMALL[kind])
    found = formats.read(root)
    assert found.format == phantoms.KINDS[kind].layout
    assert len(found.cases) == 3
    assert not any("numTraining" in note for note in found.notes)


@pytest.mark.parametrize(("naming", "enhancing"), [("2021", 4), ("2023", 3)])
def test_brats_comes_in_two_namings_with_their_labels(tmp_path, naming, enhancing):
    root = phantoms.write("brats", tmp_path / "b", cases=1, shape=SMALL["brats"], naming=naming)
    found = formats.read(root, regions=True)
    label = np.asarray(nibabel.load(found.cases[0].label).dataobj)
    assert set(np.unique(label)) == {0, 1, 2, enhancing}
    assert set(np.unique(label)) == set(found.labels.values.values())


def test_mr_structures_touch_are_whole_and_of_one_grey():
    for seed in range(3):
        image, label = phantoms.make_mr_case(seed)
        assert image.data.shape == (1, *image.grid.shape)
        assert image.data.dtype == np.float32
        assert label.data.dtype == np.uint8
        assert set(np.unique(label.data)) == {0, 1, 2}
        for value in (1, 2):
            mask = label.data == value
            parts, number = ndimage.label(mask)
            assert np.bincount(parts.ravel())[1:].max() > 0.98 * mask.sum()
            assert number <= 4
        assert (ndimage.binary_dilation(label.data == 1) & (label.data == 2)).any()
        head, tail = (image.data[0][label.data == v].mean() for v in (1, 2))
        assert abs(head / tail - 1) < 0.35


def test_mr_scanners_differ_in_spacing_and_scale():
    made = [phantoms.make_mr_case([0, i])[0] for i in range(12)]
    assert len({v.grid.spacing for v in made}) == 12
    maxima = [float(v.data.max()) for v in made]
    assert min(maxima) <= 255
    assert max(maxima) > 1000


def test_no_band_of_greys_finds_the_mr_structures():
    image, label = phantoms.make_mr_case(5)
    smooth = ndimage.gaussian_filter(image.data[0], 1.0)
    target = label.data > 0
    edges = np.quantile(smooth, np.linspace(0, 1, 31))
    best = 0.0
    for low in range(30):
        for high in range(low + 1, 31):
            band = (smooth >= edges[low]) & (smooth <= edges[high])
            best = max(best, 2 * (band & target).sum() / (band.sum() + target.sum()))
    assert best < 0.6


def test_brats_regions_are_nested_and_the_outside_is_zero():
    for seed in range(3):
        image, label = phantoms.make_brats_case(seed)
        brain = image.data[0] > 0
        assert all(((channel > 0) == brain).all() for channel in image.data)
        assert 0.2 < brain.mean() < 0.7
        assert not label.data[~brain].any()
        # Necrosis borders on the enhancing shell and hardly ever on what lies outside the core.
        around = ndimage.binary_dilation(label.data == 1) & (label.data != 1)
        assert (label.data[around] == 3).mean() > 0.8


def test_brats_modalities_show_their_own_regions():
    image, label = phantoms.make_brats_case(1)
    flair, _, t1ce, t2 = (c / np.median(c[c > 0]) for c in image.data)
    healthy = (label.data == 0) & (image.data[0] > 0)
    assert flair[label.data == 2].mean() > 1.4 * flair[healthy].mean()
    assert t1ce[label.data == 3].mean() > 1.3 * t1ce[healthy].mean()
    assert t1ce[label.data == 1].mean() < t1ce[healthy].mean()
    assert t2[label.data == 2].mean() > 1.2 * t2[healthy].mean()


def test_images_and_labels_lie_on_one_grid(tmp_path):
    root = phantoms.write("mr", tmp_path / "mr", cases=3, shape=SMALL["mr"])
    for case in formats.read(root).cases:
        image, label = nibabel.load(case.images[0]), nibabel.load(case.label)
        assert image.shape == label.shape
        np.testing.assert_array_equal(image.affine, label.affine)
        assert label.get_data_dtype() == np.uint8


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="is not a phantom"):
            phantoms.write("cells", tmp_path / "mine", cases=1, overwrite=overwrite)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["thesis.txt"]


def test_a_phantom_is_replaced_only_when_asked(tmp_path):
    out = phantoms.write("cells", tmp_path / "p", cases=2)
    with pytest.raises(InputError, match="not empty"):
        phantoms.write("cells", out, cases=1)
    phantoms.write("cells", out, cases=1, overwrite=True)
    assert len(list((out / "images").iterdir())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "p").mkdir()
    assert formats.read(phantoms.write("cells", tmp_path / "p", cases=1)).cases


def test_ensure_writes_once_and_refuses_another_order(tmp_path):
    out = phantoms.ensure("cells", tmp_path / "p", cases=1)
    stamp = (out / phantoms.writing.MARKER).stat().st_mtime_ns
    assert phantoms.ensure("cells", out, cases=1) == out
    assert (out / phantoms.writing.MARKER).stat().st_mtime_ns == stamp
    with pytest.raises(InputError, match="not empty"):
        phantoms.ensure("cells", out, cases=2)


def test_the_order_is_recorded(tmp_path):
    out = phantoms.write("brats", tmp_path / "p", cases=1, seed=7, shape=SMALL["brats"])
    order = json.loads((out / phantoms.writing.MARKER).read_text())
    assert order["kind"] == "brats"
    assert order["seed"] == 7
    assert order["naming"] == "2021"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_nothing_half_written_stays(tmp_path, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(layouts, "describe_decathlon", fail)
    with pytest.raises((InputError, KeyboardInterrupt)) as caught:
        phantoms.write("mr", tmp_path / "p", cases=1, shape=SMALL["mr"])
    assert caught.type is KeyboardInterrupt or "disk is full" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_progress_counts_the_cases(tmp_path):
    seen = []
    phantoms.write("cells", tmp_path / "p", cases=2, progress=lambda *step: seen.append(step))
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("mri", {}, "did you mean 'mr'"),
        ("mr", {"cases": 0}, "at least one case"),
        ("mr", {"seed": -1}, "not negative"),
        ("mr", {"shape": (32, 32)}, "3 sizes"),
        ("cells", {"shape": (4, 4)}, "at least 16"),
        ("nodules", {"shape": (20, 32, 32)}, "at least 24"),
        ("brats", {"naming": "2030"}, "unknown naming"),
        ("mr", {"naming": "2021"}, "only the phantom 'brats'"),
    ],
)
def test_a_senseless_order_is_refused(tmp_path, kind, options, message):
    with pytest.raises(InputError, match=message):
        phantoms.write(kind, tmp_path / "p", **options)
    assert not list(tmp_path.iterdir())
