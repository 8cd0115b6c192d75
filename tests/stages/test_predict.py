from types import SimpleNamespace

import pytest
import torch

from medseg.data.case import Case
from medseg.recipe import load_text
from medseg.stages import predict
from medseg.stages.run_folder import RunFolder


class Loaded(Exception):
    pass


@pytest.mark.parametrize(
    ("trains_on", "predicts_on"), [("cpu", "cpu"), ("cuda:1", "cuda:1"), ("mps", "cpu")]
)
def test_a_run_predicts_where_it_trains(tmp_path, monkeypatch, trains_on, predicts_on):
    def load(*_, device="auto", **__):
        raise Loaded(device)

    recipe = load_text(f"run_dir: {tmp_path / 'run'}")
    case = Case("a", (tmp_path / "a.nii.gz",), None)
    job = SimpleNamespace(
        recipe=recipe,
        folder=RunFolder(recipe),
        dataset=SimpleNamespace(cases=(case,)),
        guided=SimpleNamespace(cases=(case,)),
        require_unchanged=lambda _: None,
        trust=(),
    )
    monkeypatch.setattr(predict, "cases_of_fold", lambda *_: ((), (case,)))
    monkeypatch.setattr(predict, "training_device", lambda _: torch.device(trains_on))
    monkeypatch.setattr(predict.Predictor, "load", load)
    with pytest.raises(Loaded, match=f"^{predicts_on}$"):
        predict.run(job, tmp_path / "best.ckpt")
