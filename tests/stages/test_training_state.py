"""What a training is of: the hash by which a run knows that it is finished, or may go on."""

from types import SimpleNamespace

import pytest

from medseg.recipe import load_text
from medseg.stages import fit


@pytest.fixture
def hashed(monkeypatch):
    """Return the recipe as it goes into the hash."""
    monkeypatch.setattr(fit, "digest", lambda *parts: parts)

    def of(text):
        recipe = load_text(f"data: {{root: /data}}\n{text}")
        job = SimpleNamespace(recipe=recipe, guides=None, data_state="")
        on = SimpleNamespace(recipe=recipe, plan=SimpleNamespace(to_dict=dict))
        return fit.training_state(job, on, [], [])[2]

    return of


def test_runs_from_before_a_key_existed_are_the_same_runs(hashed):
    assert not {"transfer", "cascade"} & hashed("").keys()


def test_what_a_training_starts_or_goes_on_from_is_part_of_it(hashed):
    assert hashed("cascade: {first: runs/a}")["cascade"]["first"] == "runs/a"
    assert hashed("transfer: {from: a.pt}")["transfer"] is not None
