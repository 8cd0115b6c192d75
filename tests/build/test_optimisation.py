import pytest

from medseg.build.optimisation import build_optimizer, build_schedule
from medseg.errors import InputError
from medseg.recipe import load_text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{name: muon, lr: -1}", ["muon", "lr must be", "-1"]),
        ("{name: muon, betas: []}", ["betas"]),
        ("{name: adamw, lr: -1}", ["adamw", "learning rate"]),
        ("{name: sgd, momentum: -1}", ["sgd", "momentum"]),
    ],
)
def test_an_optimiser_that_refuses_its_arguments_is_the_recipes_mistake(text, words):
    with pytest.raises(InputError) as caught:
        build_optimizer(load_text(f"seed: 1\noptimizer: {text}", source="r.yaml"))
    assert caught.value.file == "r.yaml:2"
    assert all(word in str(caught.value) for word in words)


def test_a_schedule_that_refuses_its_arguments_is_the_recipes_mistake():
    recipe = load_text("schedule: {name: cosine, warmup: 99}", source="r.yaml")
    with pytest.raises(InputError, match=r"cosine refuses.*warmup") as caught:
        build_schedule(recipe)
    assert caught.value.file == "r.yaml:1" and "warmup: 99" in caught.value.found
