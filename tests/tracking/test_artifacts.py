from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from medseg.tracking import artifacts
from medseg.tracking.case_names import CaseNames
from medseg.tracking.wandb_logger import WandbLogger

# A case whose id is the beginning of a score.
CASES = ("0.5", "12")


class Sent(WandbLogger):
    """A logger that keeps what it is given; nothing of W&B is opened."""

    def __init__(self, folder: Path, *, hashed: bool) -> None:
        self.case_names = CaseNames(folder, hashed=hashed)
        self.summary, self.files, self.pictures = {}, {}, []
        self.run = SimpleNamespace(dir=str(folder))

    @property
    def experiment(self):
        return self.run

    def log_summary(self, values):
        self.summary = values

    def log_image(self, name, pictures, **_):
        self.pictures.append(name)

    def log_file(self, path, *, kind):
        self.files[kind] = json.loads(path.read_text())


@pytest.fixture
def metrics(tmp_path):
    mean = {"map": 0.75, "cpm": 0.5, "sensitivity": [0.25, None]}
    working = {"nodule": {"sensitivity": 0.5, "f1": 0.5}}
    data = {
        "fps": [0.125, 8.0],
        "cases": {case: {"nodule": {"references": 1}} for case in CASES},
        "mean": mean,
        "per_class": {"nodule": {**mean, "froc": {"fps": [0.0]}, "sizes": [{"cpm": 1}]}},
        "boxes": {
            case: {"nodule": {"scores": "0.5 0.12", "hits": {"hit": "12"}}} for case in CASES
        },
        "kept": {"rule": {}, "mean": mean, "working": working},
    }
    (tmp_path / "metrics.json").write_text(json.dumps(data))
    (tmp_path / "froc.png").touch()
    return tmp_path / "metrics.json"


def test_scores_of_a_detection_have_names_in_the_summary(metrics, tmp_path):
    sent = Sent(tmp_path, hashed=False)
    artifacts.log_artifacts([sent], metrics=metrics)
    assert sent.summary["metrics/mean/map"] == 0.75
    assert sent.summary["metrics/mean/sensitivity/0.125"] == 0.25
    assert "metrics/mean/sensitivity/8" not in sent.summary  # it is not known
    assert sent.summary["metrics/kept/mean/map"] == 0.75
    assert sent.summary["metrics/kept/working/nodule/sensitivity"] == 0.5
    assert sent.files["metrics"] == json.loads(metrics.read_text()) and sent.pictures == ["froc"]


def test_names_of_cases_are_hidden_and_scores_that_look_like_them_stay(metrics, tmp_path):
    sent = Sent(tmp_path, hashed=True)
    artifacts.log_artifacts([sent], metrics=metrics)
    hidden = sent.files["metrics"]
    assert set(hidden["boxes"]) == set(hidden["cases"]) and not set(hidden["cases"]) & set(CASES)
    for of in hidden["boxes"].values():
        assert of == {"nodule": {"scores": "0.5 0.12", "hits": {"hit": "12"}}}
