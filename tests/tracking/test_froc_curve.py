from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.metrics import DetectionCase, evaluate_detections
from medseg.tracking.froc_curve import draw_froc


def metrics(*, classes=("nodule", "mass"), scores=(0.9, 0.6, 0.3)) -> dict:
    there = Boxes([[0, 0, 4, 4], [10, 10, 14, 14]])
    found = Boxes(np.vstack([there.corners, [[30, 30, 34, 34]]])[: len(scores)], scores=scores)
    empty = DetectionCase(found[2:], Boxes.none(2))
    return evaluate_detections(
        {"a": DetectionCase(found, there), "b": empty}, classes=classes, resamples=20
    )


def lines(monkeypatch) -> dict:
    """Keep what is drawn, by axes and label."""
    from matplotlib.figure import Figure

    kept: dict = {}
    save = Figure.savefig

    def keep(self, *args, **kwargs):
        for side, axes in zip(("froc", "pr"), self.axes, strict=True):
            kept[side] = {line.get_label(): line.get_xydata() for line in axes.lines}
        return save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def test_the_picture_shows_the_curve_of_metrics_json(tmp_path, monkeypatch):
    kept, found = lines(monkeypatch), json.loads(json.dumps(metrics()))
    draw_froc(found, tmp_path / "froc.png")
    (label,) = (name for name in kept["froc"] if name.startswith("nodule"))
    assert label == f"nodule, CPM {found['per_class']['nodule']['cpm']:.3f}"
    curve = dict(map(tuple, kept["froc"][label]))
    read = [curve[value] for value in found["fps"]]
    assert read == pytest.approx(found["per_class"]["nodule"]["sensitivity"])
    assert list(kept["pr"]) == ["nodule"]
    with Image.open(tmp_path / "froc.png") as picture:
        assert picture.size == (1000, 400)
    assert [path.name for path in tmp_path.iterdir()] == ["froc.png"]


@pytest.mark.parametrize("scores", [(), (0.5,)])
def test_few_or_no_predictions_are_drawn_too(tmp_path, scores):
    draw_froc(metrics(scores=scores), tmp_path / "froc.png")
    assert (tmp_path / "froc.png").stat().st_size > 0


def test_a_run_without_objects_or_with_one_case_has_a_picture(tmp_path):
    none = DetectionCase(Boxes([[0, 0, 4, 4]], scores=[0.5]), Boxes.none(2))
    found = evaluate_detections({"a": none}, classes=["nodule"])
    draw_froc(json.loads(json.dumps(found)), tmp_path / "froc.png")
    assert (tmp_path / "froc.png").stat().st_size > 0


def test_a_picture_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="cannot be written"):
        draw_froc(metrics(), tmp_path / "file" / "froc.png")
