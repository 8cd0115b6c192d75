import importlib.metadata
import json

import pytest

from medseg.recipe import catalogue, homes


@pytest.fixture(scope="module")
def committed():
    return json.loads(catalogue.FILE.read_text())


@pytest.mark.slow
def test_table_is_fresh(committed):
    from medseg.recipe import table

    generated, missing = table.generate()
    assert missing == []
    if generated["versions"] != committed["versions"]:
        pytest.skip(f"the table is of {committed['versions']}, here are {generated['versions']}")
    assert json.loads(table.to_text(generated)) == committed, "run python -m medseg.recipe.table"


@pytest.mark.slow
def test_names_are_those_of_the_registries():
    from medseg.data.feed.augment.registry import BUILTIN
    from medseg.losses import registry as losses
    from medseg.networks.registry import DETECTORS, OURS
    from medseg.networks.wiring import DECIDED_BY_DATA
    from medseg.recipe.tasks import DETECTS
    from medseg.tracking.options import OPTIONS
    from medseg.training.schedule import SCHEDULES

    assert set(homes.OURS["augmentation"]) == set(BUILTIN)
    assert set(homes.OURS["network"]) == {*OURS, *DETECTORS}
    assert set(DETECTS["network"]) == set(DETECTORS)
    masks = {*losses.EXCLUSIVE, *losses.REGIONS}
    assert set(homes.OURS["loss"]) == {*masks, *DETECTS["loss"]}
    assert not masks & set(DETECTS["loss"])
    assert set(homes.OURS["schedule"]) == set(SCHEDULES)
    assert set(homes.OURS["logger"]) == set(OPTIONS)
    decided = {key for key in DECIDED_BY_DATA if key != "patch_size"}
    assert decided <= homes.WIRED["network"]


def test_table_holds_all_of_ours(committed):
    for slot, ours in homes.OURS.items():
        for name, path in ours.items():
            assert committed["components"][slot][name]["path"] == path


def test_base_classes_arguments_are_in_the_table():
    assert catalogue.find("augmentation", "torchio.RandomBiasField").arguments["p"].default == "1"
    assert "init_features" in catalogue.find("network", "monai.DenseNet121").arguments


def test_known_examples_are_in_the_table():
    for name in ("SegResNet", "HighResNet", "DynUNet", "SwinUNETR", "AttentionUnet", "UNETR"):
        assert catalogue.find("network", f"monai.{name}") is not None
    assert catalogue.find("loss", "monai.DiceFocalLoss") is not None
    assert catalogue.find("augmentation", "monai.RandAffined") is not None


def test_transforms_that_touch_files_are_not():
    for name in ("monai.LoadImaged", "monai.SaveImaged", "torchio.Compose", "monai.RandTorchIO"):
        assert catalogue.find("augmentation", name) is None


def test_table_names_the_versions_it_was_made_with(committed):
    for name, version in committed["versions"].items():
        assert version.split(".")[0] == importlib.metadata.version(name).split(".")[0]
