"""A run keeps what it inherits, until it starts over."""

import pytest

from medseg import build
from medseg.recipe import load_text
from medseg.stages import inherited


@pytest.fixture
def recipe():
    return load_text("data: {root: /d}\ntransfer: {from: weights.pt}\n")


def of(recipe, run, features, monkeypatch, **options):
    """Ask when the weights are of so many features."""
    now = {"network": None, "plan": {"features": features}, "notes": []}
    monkeypatch.setattr(build, "inheritance", lambda recipe: now)
    return inherited.of(recipe, run, **options)


def test_what_a_run_has_begun_with_stays(tmp_path, recipe, monkeypatch):
    first = of(recipe, tmp_path, [4, 8], monkeypatch)
    assert not inherited.has_begun(recipe, tmp_path)
    inherited.keep(tmp_path, first)
    assert inherited.has_begun(recipe, tmp_path)
    assert of(recipe, tmp_path, [6, 9], monkeypatch) == first


def test_a_run_that_starts_over_reads_the_weights_afresh(tmp_path, recipe, monkeypatch):
    inherited.keep(tmp_path, of(recipe, tmp_path, [4, 8], monkeypatch))
    found = of(recipe, tmp_path, [6, 9], monkeypatch, afresh=True)
    assert found["plan"] == {"features": [6, 9]}


def test_other_weights_are_another_beginning(tmp_path, recipe, monkeypatch):
    inherited.keep(tmp_path, of(recipe, tmp_path, [4, 8], monkeypatch))
    other = load_text("data: {root: /d}\ntransfer: {from: others.pt}\n")
    assert not inherited.has_begun(other, tmp_path)
    assert of(other, tmp_path, [6, 9], monkeypatch)["plan"] == {"features": [6, 9]}


def test_a_recipe_without_transfer_inherits_and_writes_nothing(tmp_path):
    inherited.keep(tmp_path, inherited.of(load_text("data: {root: /d}"), tmp_path))
    assert not list(tmp_path.iterdir())
