import sys

import pytest

from medseg.errors import InputError, InputErrors
from medseg.recipe import check_trusted, load_text

MODULE = """\
import torch
from torch import nn

class Loss(nn.Module):
    def __init__(self, weight: float = 1.0, *, smooth: float): super().__init__()

class Net(nn.Module):
    def __init__(self, spatial_dims, in_channels, num_classes, patch_size, width: int = 8):
        super().__init__()

class Plain: pass

def schedule(power: float = 1.0): return lambda fraction: fraction**power
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    name = "own_medseg_parts"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "parts.py").write_text(MODULE)
    (folder / "broken.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    for module in [m for m in sys.modules if m.startswith(name)]:
        del sys.modules[module]


def check(text, package, *, trust=True):
    recipe = load_text(text.replace("PKG", package))
    check_trusted(recipe, trust=(package,) if trust else ())
    return recipe


def messages(text, package):
    with pytest.raises(InputErrors) as caught:
        check(text, package)
    return [str(p).replace(package, "PKG") for p in caught.value.problems]


def test_untrusted_package_is_not_imported(package):
    with pytest.raises(InputError, match=f"--trust {package}"):
        check("network: PKG.parts:Net", package, trust=False)
    assert f"{package}.parts" not in sys.modules


def test_own_classes_that_fit_are_accepted(package):
    text = "network: {name: PKG.parts:Net, width: 4}\nloss: {name: PKG.parts:Loss, smooth: 0}"
    recipe = check(text, package)
    assert recipe.loss.resolve(trust=(package,)).__name__ == "Loss"
    check("schedule: {name: PKG.parts:schedule, power: 2}", package)


def test_all_that_is_wrong_with_own_classes_is_reported_at_once(package):
    text = (
        "network: {name: PKG.parts:Net, widht: 4, in_channels: 2}\n"
        "loss: {name: PKG.parts:Loss, weight: much}\n"
        "optimizer: PKG.parts:Plain\n"
        "schedule: PKG.parts:missing\n"
        "augmentation: [PKG.broken:T]\n"
    )
    found = messages(text, package)
    expected = [
        "recipe.yaml:1: network.widht: PKG.parts:Net has no such argument; did you mean width?",
        "recipe.yaml:1: network.in_channels: comes from the data",
        "recipe.yaml:2: loss.weight: expected a number, found the text 'much'",
        "recipe.yaml:2: loss: PKG.parts:Loss needs smooth: a number",
        "recipe.yaml:3: optimizer: PKG.parts:Plain is no optimizer: expected a subclass of "
        "torch.optim.Optimizer, found the class Plain",
        "recipe.yaml:4: schedule: PKG.parts:missing cannot be imported: AttributeError",
        "recipe.yaml:5: augmentation.0: PKG.broken:T cannot be imported: RuntimeError: no licence",
    ]
    assert len(found) == len(expected)
    for message, start in zip(found, expected, strict=True):
        assert message.startswith(start)


def test_recipe_without_own_classes_passes():
    check_trusted(load_text("network: unet"))
