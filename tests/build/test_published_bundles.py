"""Bundles laid out as MONAI's model zoo publishes them segment as they did before.

The definitions are those of the bundles' own configurations, Swin UNETR's width aside; the networks
that hold the weights are made by MONAI.
"""

from __future__ import annotations

import json
from pathlib import Path

import monai.networks.nets as nets
import pytest
import torch
from ruamel.yaml import YAML

from medseg.build.task import build_network
from medseg.build.transfer import fill, inheritance, plan_values, with_inherited
from medseg.data.case import Dataset
from medseg.errors import InputError
from medseg.labels import LabelScheme
from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan
from medseg.recipe import load_text

RESIDUAL = {"blocks_down": [1, 2, 2, 4], "blocks_up": [1, 1, 1]}
DYNUNET = {
    "kernel_size": [3, 3, 3, 3],
    "strides": [1, 2, 2, [2, 2, 1]],
    "upsample_kernel_size": [2, 2, [2, 2, 1]],
    "norm_name": "instance",
    "deep_supervision": False,
    "res_block": True,
}
SPLEEN = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [16, 32, 64, 128, 256],
    "strides": [2, 2, 2, 2],
    "num_res_units": 2,
    "norm": "batch",
}
BTCV = ["spleen", "Right Kidney", "Left Kideny", "Gallbladder", "Esophagus", "Liver", "Stomach"]
BTCV = ["background", *BTCV, *(f"organ {i}" for i in range(8, 14))]
BRATS = {"_target_": "SegResNet", "init_filters": 16, "in_channels": 4, "out_channels": 3}
WHOLE_BODY = {"_target_": "SegResNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 105}
SWIN = {"_target_": "SwinUNETR", "spatial_dims": 3, "img_size": 96, "in_channels": 1}
PEDIATRIC = {
    "_target_": "monai.networks.nets.DynUNet",
    "spatial_dims": "@spatial_dims",
    "in_channels": "@input_channels",
    "out_channels": "@output_channels",
}
PUBLISHED = {
    "spleen_ct_segmentation": (SPLEEN, ["image"], ["background", "spleen"]),
    "brats_mri_segmentation": (
        {**BRATS, **RESIDUAL, "dropout_prob": 0.2},
        ["T1c", "T1", "T2", "FLAIR"],
        ["Tumor core", "Whole tumor", "Enhancing tumor"],
    ),
    "wholeBody_ct_segmentation": (
        {**WHOLE_BODY, "init_filters": 32, **RESIDUAL, "dropout_prob": 0.2},
        ["image"],
        ["background", "spleen", "kidney_right", *(f"structure_{i}" for i in range(3, 105))],
    ),
    "swin_unetr_btcv_segmentation": (
        {**SWIN, "out_channels": 14, "feature_size": 12, "use_checkpoint": True},
        ["image"],
        BTCV,
    ),
    "pediatric_abdominal_ct_segmentation": (
        {**PEDIATRIC, **DYNUNET},
        ["image"],
        ["background", "liver", "spleen", "pancreas"],
    ),
}


def made(name):
    """Return the network that a definition means, with statistics as after a training."""
    definition, channels, classes = PUBLISHED[name]
    given = {k: v for k, v in definition.items() if not k.startswith("_") and k != "img_size"}
    given |= {"in_channels": len(channels), "out_channels": len(classes)}
    if "spatial_dims" in given:
        given["spatial_dims"] = 3
    torch.manual_seed(0)
    network = getattr(nets, definition["_target_"].rpartition(".")[2])(**given)
    for buffer in (b for n, b in network.named_buffers() if "running" in n):
        buffer.add_(torch.rand_like(buffer))
    return network.eval()


def published(folder: Path, name, *, content=lambda state: state, suffix=".json", file="model.pt"):
    """Write a bundle as the model zoo has it, and return its folder and its network."""
    definition, channels, classes = PUBLISHED[name]
    network = made(name)
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    torch.save(content(network.state_dict()), folder / "models" / file)
    image = {"type": "image", "spatial_shape": [96, 96, 96]}
    metadata = {
        "version": "0.1.0",
        "network_data_format": {
            "inputs": {"image": {**image, "channel_def": _numbered(channels)}},
            "outputs": {"pred": {**image, "channel_def": _numbered(classes)}},
        },
    }
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    config = {
        "imports": ["$import glob"],
        "bundle_root": ".",
        "spatial_dims": "$len(@spatial_size)",
        "network_def": definition,
        "network": "$@network_def.to(@device)",
        "handlers": [
            {"_target_": "CheckpointLoader", "load_path": f"$@bundle_root + '/models/{file}'"}
        ],
    }
    with (folder / "configs" / f"inference{suffix}").open("w") as stream:
        json.dump(config, stream) if suffix == ".json" else YAML().dump(config, stream)
    return folder, network


def _numbered(names):
    return {str(i): name for i, name in enumerate(names)}


def transferred(source, channels, labels, patch=(32, 32, 32)):
    """Return the network that a recipe gets from a bundle, and the report."""
    recipe = load_text(f"data: {{root: /data}}\ntransfer: {{from: '{source}'}}")
    inherited = inheritance(recipe)
    recipe = with_inherited(recipe, inherited)
    values = plan_values(recipe, inherited, spatial_dims=3, channels=len(channels))
    numbers = {"features": [4, 8], "strides": [[1] * 3, [2] * 3], "kernels": [[3] * 3] * 2}
    normalisation = (Normalisation(),) * len(channels)
    plan = Plan(
        preprocessing=PreprocessingPlan("RAS", "none", (1.0,) * 3, normalisation),
        patch_size=patch,
        batch_size=2,
        **{key: values.get(key, default) for key, default in numbers.items()},
    )
    dataset = Dataset("folders", Path("/data"), (), tuple(channels), labels)
    network, _ = build_network(recipe, plan, dataset)
    return network.eval(), fill(network, recipe, plan, dataset)


def same(network, before, image, *, channels=None, outputs):
    """Hold the network's logits against the file's, whose classes stand in another order."""
    theirs = image if channels is None else image[:, channels]
    with torch.no_grad():
        expected, found = before(theirs), network(image)
    for own, place in enumerate(outputs):
        if place is not None:
            torch.testing.assert_close(found[:, own], expected[:, place], rtol=1e-4, atol=1e-4)


CONTENTS = {
    "state dict": lambda state: state,
    "checkpoint": lambda state: {"model": state, "best": torch.ones(1), "epoch": 3},
    "Lightning": lambda state: {"state_dict": {f"net.{k}": v for k, v in state.items()}},
}


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
@pytest.mark.parametrize("content", CONTENTS)
def test_the_spleens_unet_segments_as_before(tmp_path, content, suffix):
    source, before = published(
        tmp_path / "b", "spleen_ct_segmentation", content=CONTENTS[content], suffix=suffix
    )
    network, report = transferred(
        source, ["CT"], LabelScheme({"background": 0, "spleen": 1}), (32, 16, 16)
    )
    assert {entry.fate for entry in report.entries} == {"matched"}
    same(network, before, torch.randn(1, 1, 32, 16, 16), outputs=[0, 1])


def test_brats_sequences_and_regions_are_found_in_another_order_and_under_other_names(tmp_path):
    source, before = published(tmp_path / "b", "brats_mri_segmentation")
    labels = LabelScheme(
        {"background": 0, "NCR": 1, "ED": 2, "ET": 4},
        regions={"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)},
    )
    network, report = transferred(source, ["FLAIR", "T1", "T1ce", "T2"], labels)
    assert report.share == 1.0 and not report.of("new")
    image = torch.randn(1, 4, 32, 32, 32)
    same(network, before, image, channels=[2, 1, 3, 0], outputs=[1, 0, 2])


def test_one_of_the_whole_bodys_105_classes_is_carried_over(tmp_path):
    source, before = published(tmp_path / "b", "wholeBody_ct_segmentation")
    labels = LabelScheme({"background": 0, "tumour": 1, "Right_Kidney": 2, "kidney right": 3})
    network, report = transferred(source, ["CT"], labels)
    heads = {entry.name: entry for entry in report.of("adapted")}
    assert set(heads) == {"conv_final.2.conv.weight", "conv_final.2.conv.bias"}
    assert heads["conv_final.2.conv.bias"].source_shape == (105,)
    same(network, before, torch.randn(1, 1, 32, 32, 32), outputs=[0, None, None, 2])


def test_swin_unetr_is_built_whatever_the_size_of_its_training_images(tmp_path):
    source, before = published(tmp_path / "b", "swin_unetr_btcv_segmentation")
    labels = LabelScheme({"background": 0, "liver": 1, "spleen": 2})
    network, report = transferred(source, ["CT"], labels, (64, 32, 32))
    assert not report.of("unused") and not report.of("new")
    same(network, before, torch.randn(1, 1, 64, 32, 32), outputs=[0, 6, 1])


def test_a_dynunet_whose_width_is_monais_own_takes_weights_of_another_name(tmp_path):
    source, before = published(
        tmp_path / "b", "pediatric_abdominal_ct_segmentation", suffix=".yaml", file="dynunet_FT.pt"
    )
    labels = LabelScheme({"background": 0, "liver": 1, "pancreas": 2})
    with pytest.raises(InputError, match="under other names") as caught:
        transferred(source, ["CT"], labels)
    assert "dynunet_FT.pt" in caught.value.remedy
    file = source / "models" / "dynunet_FT.pt"
    network, report = transferred(file, ["CT"], labels, (16, 16, 8))
    assert not report.of("unused") and not report.of("new")
    same(network, before, torch.randn(1, 1, 16, 16, 8), outputs=[0, 1, 3])


def test_of_several_configurations_the_one_that_names_the_weights_says_the_network(tmp_path):
    folder, _ = published(
        tmp_path / "b", "pediatric_abdominal_ct_segmentation", suffix=".yaml", file="dynunet_FT.pt"
    )
    before = made("brats_mri_segmentation")
    torch.save(before.state_dict(), folder / "models" / "segresnet_FT.pt")
    config = {
        "network_def": PUBLISHED["brats_mri_segmentation"][0],
        "handlers": [{"load_path": "$@bundle_root + '/models/segresnet_FT.pt'"}],
    }
    (folder / "configs" / "inference_segresnet.yaml").write_text(json.dumps(config))
    recipe = load_text(f"transfer: {{from: '{folder / 'models' / 'segresnet_FT.pt'}'}}")
    assert inheritance(recipe)["network"]["name"] == "monai.SegResNet"


def test_a_network_that_only_a_program_can_build_is_refused_with_the_reason(tmp_path):
    folder, _ = published(tmp_path / "b", "spleen_ct_segmentation", suffix=".yaml")
    state = {"stem.0.conv.weight": torch.ones(4, 1, 3, 3, 3), "cell.0.alpha": torch.ones(4, 4)}
    torch.save(state, folder / "models" / "model.pt")
    config = {"network_def": {"_target_": "monai.networks.nets.DiNTS", "dints_space": "@space"}}
    with (folder / "configs" / "inference.yaml").open("w") as stream:
        YAML().dump(config, stream)
    with pytest.raises(InputError, match="nothing in the file belongs to this network") as caught:
        transferred(folder, ["CT"], LabelScheme({"background": 0, "liver": 1}))
    assert "network_def holds expressions, which are not evaluated" in caught.value.remedy


def test_torchscript_alone_is_refused_with_the_reason(tmp_path):
    folder, _ = published(tmp_path / "b", "spleen_ct_segmentation")
    (folder / "models" / "model.pt").unlink()
    torch.jit.script(torch.nn.Conv3d(1, 1, 1)).save(str(folder / "models" / "model.ts"))
    with pytest.raises(InputError, match="TorchScript file is a program"):
        transferred(folder, ["CT"], LabelScheme({"background": 0, "spleen": 1}))
