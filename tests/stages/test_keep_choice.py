from __future__ import annotations

from types import SimpleNamespace

import pytest

from medseg.geometry.boxes import Boxes
from medseg.inference.detection.choosing import Choice, Trial
from medseg.inference.detection.keep_file import NAME, read
from medseg.inference.detection.keep_text import to_text
from medseg.inference.detection.keeping import KeepRule
from medseg.labels import LabelScheme
from medseg.metrics import DetectionCase
from medseg.recipe import load_text
from medseg.stages import keep_choice
from medseg.stages.reporter import Reporter
from medseg.stages.run_folder import RunFolder

LABELS = LabelScheme({"nodule": 1})
GAIN = Trial("nms", "", 0.3, "mAP", 0.8, 0.85, True)
ALARM = Boxes([[0, 0, 0, 4, 4, 4]], scores=[0.9])
EMPTY = {"one": DetectionCase(ALARM, Boxes.none(3))}


@pytest.fixture
def job(tmp_path):
    """A run whose boxes were chosen when a held-out case had an object."""
    recipe = load_text(f"task: detection\nrun_dir: {tmp_path}\n")
    choice = Choice(KeepRule(nms=0.3), (GAIN,), {})
    (tmp_path / NAME).write_text(to_text(choice, ["nodule"], cases="one held-out case"))
    (tmp_path / "plan.yaml").write_text("# Boxes: nms 0.3\nplan: {batch_size: 2}\n")
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    return SimpleNamespace(
        recipe=recipe,
        folder=RunFolder(recipe),
        dataset=SimpleNamespace(labels=LABELS),
        data_state="",
        report=Reporter(quiet=True),
        overwrite=False,
    )


def run(job) -> None:
    keep_choice.run(job, {"one": job.folder / "one.json"}, lambda: EMPTY)


def test_what_other_boxes_chose_goes_where_nothing_can_be_chosen(job, capsys):
    run(job)
    assert not (job.folder / NAME).exists()
    assert (job.folder / "plan.yaml").read_text() == "plan: {batch_size: 2}\n"
    said = capsys.readouterr().err
    assert "no held-out case has an object" in said and "is removed" in said


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_a_person_wrote_stays(job, overwrite):
    file, job.overwrite = job.folder / NAME, overwrite
    file.write_text(file.read_text().replace("  nms: 0.3 ", "  nms: 0.4 "))
    run(job)
    assert read(file).rule.nms == 0.4
