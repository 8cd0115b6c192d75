from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from medseg.data import phantoms
from medseg.errors import InputError
from medseg.recipe import load
from medseg.stages import evaluate, inspect, preprocess
from medseg.stages import plan as planning
from medseg.stages.job import Job
from medseg.stages.reporter import Reporter
from medseg.stages.run_folder import RunFolder


@pytest.fixture
def job(tmp_path: Path) -> Job:
    phantoms.write("mr", tmp_path / "data", cases=4, shape=(16, 16, 16))
    for path in (tmp_path / "data").rglob("*.nii.gz"):
        os.utime(path, (1e9, 1e9))
    return open_job(tmp_path)


def open_job(folder: Path) -> Job:
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"extends: base/mr\n"
        f"data: {{root: {folder / 'data'}, workers: 0, folds: 2}}\n"
        f"trainer: {{steps: 1}}\nrun_dir: {folder / 'run'}\nlogger: []\n"
    )
    found = load(recipe)
    return Job(recipe=found, folder=RunFolder(found), report=Reporter(quiet=True))


def files(job: Job) -> tuple[Path, Path]:
    case = job.dataset.cases[2]
    return case.images[0], case.label


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_changes_while_the_data_are_inspected_is_named(job, which, monkeypatch):
    real = inspect.fingerprint

    def slow(*arguments, **options):
        found = real(*arguments, **options)
        files(job)[which].touch()
        return found

    monkeypatch.setattr(inspect, "fingerprint", slow)
    with pytest.raises(InputError, match="changed while this job used it") as caught:
        inspect.run(job)
    assert caught.value.file == str(files(job)[which])
    assert "2001" in caught.value.expected
    assert not (job.folder / "fingerprint.json").exists()


def test_a_file_that_changes_between_fingerprint_and_cache_is_named(job, monkeypatch):
    real = planning.run

    def slow(job):
        plan = real(job)
        files(job)[0].touch()
        return plan

    monkeypatch.setattr(planning, "run", slow)
    with pytest.raises(InputError, match="changed while this job used it"):
        preprocess.run(job)


def test_a_file_that_went_away_meanwhile_is_named(job, monkeypatch):
    preprocess.run(job)
    files(job)[1].unlink()
    with pytest.raises(InputError, match="went away while this job used it") as caught:
        job.require_unchanged()
    assert caught.value.file == str(files(job)[1])


def test_scores_are_not_taken_against_a_reference_that_changed(job, tmp_path):
    masks = {case.id: case.label for case in job.dataset.cases}
    preprocess.run(job)
    files(job)[1].touch()
    with pytest.raises(InputError, match="changed while this job used it"):
        evaluate.run(job, masks)


def test_the_next_job_takes_the_data_as_they_are_then(job, tmp_path):
    preprocess.run(job)
    files(job)[0].touch()
    _, index = preprocess.run(open_job(tmp_path))
    assert index.built == ()  # the same bytes
    assert len(index.entries) == 4


def test_the_verbs_before_training_load_no_torch(job, tmp_path):
    code = (
        "import sys; from medseg.cli import main\n"
        f"main(['preprocess', {str(tmp_path / 'recipe.yaml')!r}, '-q'])\n"
        "print([m for m in ('torch', 'monai', 'pytorch_lightning') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
