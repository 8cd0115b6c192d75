"""Every sentence, from a made-up table of shares."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medseg.tracking.advice import _ADVICE, _LIMITS, Facts, advise
from medseg.tracking.phases import PHASES

CPU = Facts(device="cpu", cores=2)
GPU = Facts(device="cuda", cores=16, pinned=True, full_precision=False, bf16=True, compiled=True)


def gpu(**changes):
    return Facts(**{**GPU.__dict__, **changes})


def once(**changes):
    return Facts(device="cpu", cores=2, validations=1, **changes)


def table(**shares: float) -> dict[str, float]:
    """Fill up with forward and backward pass."""
    rest = 1 - sum(shares.values())
    return {**dict.fromkeys(PHASES, 0.0), "forward": rest / 3, "backward": 2 * rest / 3, **shares}


@pytest.mark.parametrize(
    ("shares", "facts", "said", "setting"),
    [
        ({"loader": 0.31}, GPU, "loader 31% of the time", "data.workers=8"),
        ({"loader": 0.31}, gpu(cores=4), "more processes", "data.workers=3"),
        ({"loader": 0.31}, gpu(cores=4, workers=3), "no core is left", "data.cache=ram"),
        ({"loader": 0.31}, CPU, "on the cores that train", "data.cache=ram"),
        ({"transfer": 0.08}, GPU, "Copying", "data.cache=device"),
        ({"transfer": 0.08}, gpu(pinned=False), "Copying", "pin_memory=True"),
        ({"augment": 0.2}, CPU, "Augmentation takes 20%", "augmentation=light"),
        ({"augment": 0.2}, GPU, "Augmentation takes 20%", "augmentation=light"),
        ({"loss": 0.3}, GPU, "The loss takes 30%", "network.deep_supervision=false"),
        ({"optimizer": 0.12}, gpu(fused=False), "optimiser", "optimizer.fused=true"),
        ({"optimizer": 0.12}, gpu(fused=True), "optimiser", "trainer.accumulate=2"),
        ({"optimizer": 0.12}, gpu(fused=None), "optimiser", "trainer.accumulate=2"),
        ({"validation": 0.4}, CPU, "Validation takes 40%", "trainer.validate_every"),
        ({"validation": 0.4}, once(), "there was but one", "(trainer.budget)"),
        ({"validation": 0.4}, once(limit="trainer.steps"), "Validation", "(trainer.steps)"),
        ({"validation": 0.4}, once(), "Validation", "trainer.validation_cases"),
        ({"validation": 0.4}, gpu(validations=2), "Validation", "trainer.validate_every"),
        ({"start": 0.5}, once(limit="trainer.steps"), "first step", "(trainer.steps)"),
        ({"start": 0.5}, GPU, "compiles", "trainer.compile=false"),
        ({"start": 0.5}, CPU, "first step", "trainer.budget"),
        ({"other": 0.2}, GPU, "Logging", "trainer.checkpoint_every"),
        ({}, CPU, "network itself is the limit, with 100%", "plan.patch_size"),
        ({}, GPU, "network itself is the limit", "plan.features"),
        ({}, gpu(full_precision=True), "half precision", "trainer.precision=bf16-mixed"),
        ({}, gpu(full_precision=True, bf16=False), "network itself", "plan.features"),
        ({}, gpu(compiled=False), "compiling", "trainer.compile=true"),
    ],
)
def test_shares_and_setup_choose_the_setting(shares, facts, said, setting):
    sentence = advise(table(**shares), facts)
    assert said in sentence
    assert setting in sentence
    assert sentence.endswith(".")
    assert sentence.count(". ") == 0, "one sentence"


def test_the_largest_of_several_is_named():
    assert "Validation" in advise(table(loader=0.2, validation=0.4), GPU)
    assert "loader" in advise(table(loader=0.4, validation=0.2), GPU)


def test_forward_and_backward_are_never_the_fault_of_a_setting_beside_them():
    assert "network itself" in advise(table(loader=0.09, validation=0.19, other=0.09), CPU)


def test_a_cpu_copies_nothing():
    assert "network itself" in advise(table(transfer=0.3), CPU)


def test_nothing_measured_is_no_error():
    assert advise({}, Facts()).endswith(".")


def test_every_limit_has_its_sentence():
    assert set(_LIMITS) == set(_ADVICE)
    assert set(_LIMITS) == set(PHASES) - {"forward", "backward"}


def test_every_setting_named_is_a_key_of_the_recipe():
    from medseg.recipe.data_section import Data
    from medseg.recipe.sections import PlanKeys, Trainer

    source = (Path(__file__).parents[2] / "medseg/tracking/advice.py").read_text()
    keys = {"data": Data, "plan": PlanKeys, "trainer": Trainer}
    named = re.findall(r"\b(data|plan|trainer)\.(\w+)", source)
    assert len(named) > 8
    for section, key in named:
        assert key in keys[section].model_fields, f"{section}.{key}"
