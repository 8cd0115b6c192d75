from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

from medseg.recipe import load_text
from medseg.stages import extend
from medseg.stages.extend import Extension
from medseg.stages.run_folder import RunFolder


def job(root, fold=0):
    recipe = load_text(f"{{trainer: {{steps: 6}}, data: {{fold: {fold}}}, run_dir: {root}}}")
    return SimpleNamespace(recipe=recipe, folder=RunFolder(recipe))


@pytest.mark.parametrize(
    ("limits", "finished", "expected"),
    [([], True, 10), ([], False, 10), ([10.0], True, 10), ([10.0], False, 14)],
)
def test_an_extension_counts_those_before_that_no_checkpoint_knows_of(
    tmp_path, limits, finished, expected
):
    last = tmp_path / "last.ckpt"
    torch.save({"callbacks": {"TrainingClock": {"limit": 6.0, "step": 6, "elapsed": 1.0}}}, last)
    before = [Extension(4.0, "steps", 6, limit) for limit in limits]
    found = extend.next_one(job(tmp_path / "run"), last, 4, before=before, finished=finished)
    assert found == Extension(4.0, "steps", 6, expected)


def test_folds_extended_side_by_side_are_all_noted(tmp_path):
    jobs = [job(tmp_path / "run")]
    jobs[0].folder.begin()
    jobs += [job(tmp_path / "run", fold) for fold in range(1, 5)]
    with ThreadPoolExecutor(len(jobs)) as threads:
        list(threads.map(lambda one: extend.record(one, [Extension(4, "steps", 6, 10)]), jobs))
    text = (tmp_path / "run" / "recipe.yaml").read_text()
    assert text.count("was extended by 4 steps at step 6") == len(jobs)
