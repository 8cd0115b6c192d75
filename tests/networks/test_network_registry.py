from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest
import torch

import medseg.networks
from medseg.errors import InputError
from medseg.networks import ResidualUNet
from medseg.networks.registry import OURS, create, needs, plan_arguments, record, resolve

PLAN_2D = {
    "spatial_dims": 2,
    "in_channels": 2,
    "num_classes": 3,
    "patch_size": (16, 16),
    "strides": ((1, 1), (2, 2), (1, 2)),
    "kernels": ((3, 3), (3, 3), (3, 3)),
    "features": (4, 6, 8),
}
PLAN_3D = {
    "spatial_dims": 3,
    "in_channels": 2,
    "num_classes": 3,
    "patch_size": (8, 16, 16),
    "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    "kernels": ((1, 3, 3), (1, 3, 3), (3, 3, 3)),
    "features": (4, 6, 8),
}
TINY_TRANSFORMER = {"hidden_size": 12, "mlp_dim": 12, "num_heads": 2, "feature_size": 4}
NETWORKS = {  # name -> the user's arguments, the smallest patches in 2D and 3D
    "unet": ({}, (16, 16), (8, 16, 16)),
    "residual_unet": ({"blocks_per_stage": 1}, (16, 16), (8, 16, 16)),
    "dilated_unet": ({}, (16, 16), (8, 16, 16)),
    "attention_unet": ({}, (16, 16), (8, 16, 16)),
    "unet_plus_plus": ({}, (16, 16), (8, 16, 16)),
    "monai.UNet": ({"num_res_units": 1}, (16, 16), (8, 16, 16)),
    "monai.AttentionUnet": ({}, (16, 16), (8, 16, 16)),
    "monai.DynUNet": ({}, (16, 16), (8, 16, 16)),
    "monai.SegResNet": (
        {"init_filters": 8, "blocks_down": [1, 1, 1], "blocks_up": [1, 1]},
        (16, 16),
        (8, 16, 16),
    ),
    "monai.SegResNetDS": ({"init_filters": 8, "blocks_down": [1, 1]}, (16, 16), (8, 16, 16)),
    "monai.HighResNet": ({}, (7, 9), (3, 5, 7)),
    "monai.BasicUNet": ({"features": [2] * 6}, (33, 31), (16, 20, 32)),
    "monai.BasicUNetPlusPlus": ({"features": [2] * 6}, (32, 32), (16, 16, 32)),
    "monai.UNETR": (TINY_TRANSFORMER, (16, 32), (16, 16, 32)),
    "monai.SwinUNETR": ({"feature_size": 12}, (32, 64), (32, 32, 64)),
    "monai.VNet": ({}, (16, 32), (16, 16, 32)),
    "monai.MedNeXt": ({"init_filters": 2, "kernel_size": 3}, (16, 32), (16, 16, 32)),
    "monai.FlexibleUNet": ({"backbone": "resnet18"}, (32, 64), (32, 32, 64)),
}


def wire(name, plan, **arguments):
    patch = arguments.pop("patch_size", plan["patch_size"])
    return plan_arguments(name, resolve(name), **{**plan, "patch_size": patch}, arguments=arguments)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dims", [2, 3])
def test_a_network_wired_from_the_plan_trains(name, dims):
    arguments, *patches = NETWORKS[name]
    patch = patches[dims - 2]
    torch.manual_seed(0)
    wired = wire(name, (PLAN_2D, PLAN_3D)[dims - 2], patch_size=patch, **arguments)
    network = create(name, wired)
    logits = network(torch.randn(1, 2, *patch))
    logits = logits[0] if isinstance(logits, list | tuple) else logits
    assert logits.shape == (1, 3, *patch)
    logits.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_our_names_give_our_classes():
    for name, path in OURS.items():
        cls = resolve(name)
        assert f"{cls.__module__}:{cls.__name__}" == path
        assert getattr(medseg.networks, cls.__name__) is cls


def test_a_record_goes_through_json_and_back():
    stored = json.loads(json.dumps(record("residual_unet", wire("residual_unet", PLAN_3D))))
    network = create(**stored)
    assert isinstance(network, ResidualUNet)
    assert network.divisor == (2, 4, 4)
    assert record(**stored) == stored


def test_a_record_refuses_what_json_cannot_hold():
    for bad in (torch.nn.ReLU(), float("nan")):
        with pytest.raises(InputError, match="cannot be stored"):
            record("unet", {"activation": bad})


def test_needs_of_a_wired_network_are_its_strides():
    assert needs("unet", wire("unet", PLAN_3D)).divisor == (2, 4, 4)


def test_fewer_features_than_planned_cut_the_network_short():
    wired = wire("unet", PLAN_3D, features=[16, 32])
    assert wired["features"] == [16, 32]
    assert wired["strides"] == [[1, 1, 1], [1, 2, 2]]
    assert wire("monai.UNet", PLAN_3D, channels=[16, 32])["strides"] == [[1, 2, 2]]
    dynunet = wire("monai.DynUNet", PLAN_3D, strides=[1, 2, 2], kernel_size=[3, 3, 3])
    assert dynunet["upsample_kernel_size"] == [2, 2]


def test_more_features_than_planned_need_their_strides():
    with pytest.raises(InputError, match="more stages than the plan"):
        wire("unet", PLAN_2D, features=[2, 4, 8, 16])
    wired = wire(
        "unet", PLAN_2D, features=[2, 4, 8, 16], strides=[1, 2, 2, 2], kernels=[3, 3, 3, 3]
    )
    assert create("unet", wired).divisor == (8, 8)
    monai = wire("monai.UNet", PLAN_2D, channels=[2, 4, 8, 16], strides=[2, 2, 2])
    assert needs("monai.UNet", monai).divisor == (8, 8)


def test_what_the_data_decide_cannot_be_overridden():
    with pytest.raises(InputError, match="decided by the data"):
        wire("unet", PLAN_2D, in_channels=1)
    assert wire("unet", PLAN_2D, in_channels=2)["in_channels"] == 2


def test_deep_supervision_is_off_unless_asked():
    network = create("monai.DynUNet", wire("monai.DynUNet", PLAN_2D))
    assert isinstance(network(torch.randn(1, 2, 16, 16)), torch.Tensor)


def test_dynunet_gives_its_stacked_heads_as_a_list_in_training():
    network = create("monai.DynUNet", wire("monai.DynUNet", PLAN_2D, deep_supervision=True))
    x = torch.randn(1, 2, 16, 16)
    heads = network(x)
    assert [tuple(h.shape) for h in heads] == [(1, 3, 16, 16)] * 2
    assert torch.allclose(heads[0], network.eval()(x), atol=1e-5)


def test_the_deepest_head_of_a_nested_unet_comes_first():
    arguments = wire(
        "monai.BasicUNetPlusPlus",
        PLAN_2D,
        patch_size=(32, 32),
        features=[2] * 6,
        deep_supervision=True,
    )
    network = create("monai.BasicUNetPlusPlus", arguments)
    seen = []
    network.final_conv_0_4.register_forward_hook(lambda *args: seen.append(args[-1]))
    assert network(torch.randn(1, 2, 32, 32))[0] is seen[0]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("monai.SwinUNETR", {"patch_size": (16, 16)}, r"plan.patch_size: \[64, 32\]"),
        ("monai.SwinUNETR", {"feature_size": 20}, "feature_size: 24"),
        ("monai.FlexibleUNet", {}, "needs arguments .* backbone"),
        ("monai.FlexibleUNet", {"backbone": "nonet", "patch_size": (64, 64)}, "nonet"),
        ("unet", {"feature": [4, 8]}, "did you mean 'features'"),
        ("unet", {"features": [4]}, "two stages"),
        ("monai.AutoEncoder", {}, "channels, strides"),
        ("monai.UNETR", {**TINY_TRANSFORMER, "num_heads": 5}, "num_heads"),
    ],
)
def test_arguments_that_cannot_work_are_refused_in_words(name, arguments, message):
    with pytest.raises(InputError, match=message):
        create(name, wire(name, PLAN_2D, **arguments))


def test_limits_of_the_input_are_named():
    with pytest.raises(InputError, match="1, 2, 4, 8 or 16"):
        wire("monai.VNet", {**PLAN_2D, "in_channels": 3, "patch_size": (32, 32)})
    with pytest.raises(InputError, match="2D network"):
        wire("monai.Quicknat", PLAN_3D)
    shallow = {**PLAN_2D, **{key: PLAN_2D[key][:2] for key in ("strides", "kernels", "features")}}
    with pytest.raises(InputError, match="three stages"):
        wire("monai.DynUNet", shallow)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resunet", "did you mean"),
        ("Unet", "did you mean 'unet'"),
        ("monai.SegResnet", "did you mean 'monai.SegResNet'"),
        ("monai.resnet", "no network named"),
        ("monai.SegResNetVAE", "reconstruction loss"),
        ("evil_pkg.mod:Net", "--trust evil_pkg"),
        ("os:system", "--trust os"),
    ],
)
def test_names_that_lead_nowhere_are_refused(name, message):
    with pytest.raises(InputError, match=message):
        resolve(name)


@pytest.fixture
def own_package(tmp_path, monkeypatch):
    (tmp_path / "their_networks.py").write_text(
        textwrap.dedent(
            """
            from torch import nn

            class Net(nn.Module):
                def __init__(self, in_channels, num_classes, features, *, kernel_size=1, dims=2):
                    super().__init__()
                    self.features = features
                    self.conv = nn.Conv2d(in_channels, num_classes, kernel_size)

                def forward(self, x):
                    return self.conv(x)

            NotANetwork = dict
            """
        )
    )
    (tmp_path / "their_broken.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("their_networks", None)


def test_an_own_network_is_imported_only_if_trusted(own_package):
    name = "their_networks:Net"
    with pytest.raises(InputError, match="not trusted"):
        resolve(name, trust=["other"])
    assert "their_networks" not in sys.modules
    cls = resolve(name, trust=["their_networks"])
    wired = plan_arguments(name, cls, **PLAN_2D)
    assert wired == {"in_channels": 2, "num_classes": 3, "features": [4, 6, 8]}
    network = create(name, wired, trust={"their_networks"})
    assert network.features == (4, 6, 8)
    with pytest.raises(InputError, match="--trust their_networks"):
        create(**record(name, wired))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("their_networks:NotANetwork", "subclass of torch.nn.Module"),
        ("their_networks:Missing", "nothing of that name"),
        ("their_absent:Net", "is not there"),
        ("their_networks.sub:Net", "is not there"),
    ],
)
def test_an_own_network_must_be_a_network(own_package, name, message):
    with pytest.raises(InputError, match=message):
        resolve(name, trust=["their_networks", "their_absent"])


def test_a_missing_import_inside_an_own_module_is_named(own_package):
    with pytest.raises(InputError, match="pip install a_module_that_is_not_there"):
        resolve("their_broken:Net", trust=["their_broken"])


def test_monai_is_imported_only_when_named_and_leaves_warnings_alone():
    code = """
        import sys, warnings
        import medseg.networks.registry as registry
        from medseg.networks import UNet
        assert "monai" not in sys.modules
        shown = warnings.showwarning
        registry.resolve("monai.SegResNet")
        assert warnings.showwarning is shown
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
