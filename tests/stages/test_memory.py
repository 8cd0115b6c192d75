import pytest
import torch

from medseg.data.feed.residence import choose_residence
from medseg.recipe import load_text
from medseg.stages.memory import bytes_in_memory

FREE = 4000


@pytest.mark.parametrize(
    ("asked", "cases", "on_gpu", "held"),
    [
        ("auto", 999, False, 999),
        ("auto", 1000, False, 0),
        ("ram", 5000, True, 5000),
        ("device", 999, False, 999),
        ("device", 999, True, 0),
        ("disk", 999, False, 0),
    ],
)
def test_the_bytes_that_cases_will_fill_are_those_of_where_they_live(
    monkeypatch, asked, cases, on_gpu, held
):
    monkeypatch.setattr("medseg.stages.memory.memory_available", lambda: FREE)
    recipe = load_text(f"data: {{cache: {asked}}}")
    assert bytes_in_memory(recipe, cases, on_gpu=on_gpu) == held


@pytest.mark.parametrize(
    ("asked", "cases", "held"), [("auto", 499, 998), ("auto", 500, 0), ("ram", 9, 18)]
)
def test_each_of_several_processes_holds_the_cases(monkeypatch, asked, cases, held):
    monkeypatch.setattr("medseg.stages.memory.memory_available", lambda: FREE)
    recipe = load_text(f"data: {{cache: {asked}}}")
    assert bytes_in_memory(recipe, cases, on_gpu=False, processes=2) == held


@pytest.mark.parametrize("cases", [999, 1000])
def test_the_feed_decides_alike(monkeypatch, cases):
    for module in ("stages.memory", "data.feed.residence"):
        monkeypatch.setattr(f"medseg.{module}.memory_available", lambda: FREE)
    found = choose_residence("auto", size=cases, device=torch.device("cpu"), on_samples=False)
    held = bytes_in_memory(load_text("seed: 1"), cases, on_gpu=False)
    assert (found.where == "ram") == bool(held)
