from __future__ import annotations

import logging

import pytest

from medseg.inference import checkpoint as checkpoints
from medseg.inference.detection.keep_file import CHOSEN, NAME, NETWORKS
from medseg.inference.detection.keeping import KeepRule
from medseg.inference.detection.rule_of_run import notice, rule_for, rule_of
from medseg.inference.postprocess.stale import networks
from tests.detectors import save_run

CLASSES = ("nodule", "mass")


@pytest.fixture
def run(tmp_path):
    return save_run(tmp_path / "run")


def read(run):
    return [checkpoints.read(file, task="detection") for file in checkpoints.find(run)]


def chosen_by(run, digests) -> None:
    rule = '{"nms": 0.3}'
    text = f"detection: {{nms: 0.3}}\n{CHOSEN}{rule}\n{NETWORKS}{digests}\n"
    (run / NAME).write_text(text.replace("'", '"'))


def test_what_is_asked_for_is_given(run, tmp_path):
    assert rule_for("auto", run, CLASSES) == rule_for("none", run, CLASSES) == KeepRule()
    (run / NAME).write_text("detection: {nms: 0.4}")
    assert rule_for("auto", run, CLASSES) == KeepRule(nms=0.4)
    assert rule_for("none", run, CLASSES) == KeepRule()
    (tmp_path / "b.yaml").write_text("detection: {nms: 0.2}")
    assert rule_for(tmp_path / "b.yaml", run, CLASSES) == KeepRule(nms=0.2)
    assert rule_for(KeepRule(nms=0.1), run, CLASSES) == KeepRule(nms=0.1)


def test_weights_that_did_not_choose_are_told_of(run, caplog):
    found = read(run)
    chosen_by(run, networks(found))
    assert notice(run / NAME, found) is None
    save_run(run, 0.5)
    with caplog.at_level(logging.WARNING):
        assert rule_of(read(run), run, None) == KeepRule(nms=0.3)
    assert "other weights than fold_0" in caplog.text


def test_a_rule_written_by_hand_outlives_its_weights(run):
    chosen_by(run, {"fold_0": "of others"})
    assert notice(run / NAME, read(run)) is not None
    text = (run / NAME).read_text()
    (run / NAME).write_text(text.replace("nms: 0.3}", "nms: 0.2}", 1))
    assert notice(run / NAME, read(run)) is None


def test_the_checkpoint_speaks_where_there_is_no_recipe(tmp_path):
    run = save_run(tmp_path / "run", inference={"postprocessing": "none"})
    (run / NAME).write_text("detection: {nms: 0.4}")
    assert rule_of(read(run), run, None) == KeepRule()
    (run / "recipe.yaml").write_text("inference: {postprocessing: auto}")
    assert rule_of(read(run), run, None) == KeepRule(nms=0.4)
