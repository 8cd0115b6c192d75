"""A MONAI bundle gives weights, names and its network; nothing in it is evaluated."""

from __future__ import annotations

import pytest
import torch

from medseg.errors import InputError
from medseg.training.transfer import load_pretrained, read


def test_names_network_and_structure_are_read(bundle, capsys):
    found = read(bundle())
    assert found.kind == "MONAI bundle"
    assert (found.channels, found.classes) == (("image",), ("background", "spleen"))
    assert found.regions is False
    assert found.network == {
        "name": "monai.UNet",
        "arguments": {"num_res_units": 2, "norm": "batch"},
    }
    assert found.structure == {
        "features": [4, 8, 8],
        "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        "kernels": [[3, 3, 3]] * 3,
    }
    assert "run me" not in capsys.readouterr().out


def test_the_file_within_a_bundle_is_the_bundle(bundle):
    assert read(bundle() / "models" / "model.pt").classes == ("background", "spleen")


def test_a_bundles_unet_fills_monais_unet_with_other_classes(bundle):
    from medseg.networks import registry

    sizes = {"spatial_dims": 3, "in_channels": 4, "out_channels": 3}
    rest = {"channels": [4, 8, 8], "strides": [2, 2], "num_res_units": 2, "norm": "batch"}
    network = registry.create("monai.UNet", {**sizes, **rest})
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    source = read(bundle())
    report = load_pretrained(
        network, source, classes=("background", "tumour", "spleen"), regions=None
    )
    own = network.state_dict()
    for name in ("model.0.conv.unit0.conv.weight", "model.0.residual.weight"):
        expected = source.state[name].expand(-1, 4, -1, -1, -1) / 4
        torch.testing.assert_close(own[name], expected)
    # Of a transposed convolution the classes are the second axis.
    for name, axis in (("model.2.0.conv.weight", 1), ("model.2.0.conv.bias", 0)):
        rows, old = own[name].unbind(axis), source.state[name].unbind(axis)
        assert rows[0].equal(old[0]) and rows[2].equal(old[1])
        assert rows[1].equal(fresh[name].unbind(axis)[1])
    name = "model.2.1.conv.unit0.conv.weight"
    assert own[name][0, 2].equal(source.state[name][0, 1])
    assert own[name][1].equal(fresh[name][1])
    changed = {entry.name for entry in report.of("adapted")}
    assert all(n.startswith(("model.0.", "model.2.")) for n in changed)
    assert report.of("new") == report.of("unused") == []
    for entry in report.of("matched"):
        assert own[entry.name].equal(source.state[entry.name])


@pytest.mark.parametrize(
    "definition",
    [
        {"_target_": "UNet", "channels": "$[4, 8]", "strides": [2]},
        {"_target_": "SegResNet", "act": {"_target_": "torch.nn.ReLU"}},
        {"_target_": "my_package.Net"},
    ],
)
def test_a_network_that_must_be_evaluated_is_not_inherited(bundle, definition):
    found = read(bundle(definition=definition))
    assert found.network is None and found.structure == {}
    assert "configs/inference.json: network_def" in found.notes[0]


def test_a_dynunet_gives_features_strides_and_kernels(bundle):
    definition = {
        "_target_": "monai.networks.nets.DynUNet",
        "filters": [4, 8, 8],
        "strides": [[1, 1, 1], [2, 2, 1], [2, 2, 2]],
        "kernel_size": [[3, 3, 1], [3, 3, 3], [3, 3, 3]],
        "upsample_kernel_size": [[2, 2, 1], [2, 2, 2]],
        "res_block": True,
    }
    found = read(bundle(definition=definition))
    assert found.network == {"name": "monai.DynUNet", "arguments": {"res_block": True}}
    assert found.structure["kernels"] == definition["kernel_size"]


def test_a_bundle_of_a_program_alone_is_refused_with_the_reason(bundle):
    root = bundle(weights=False)
    (root / "models" / "model.ts").write_bytes(b"")
    with pytest.raises(InputError, match="is a program") as caught:
        read(root)
    assert "model.pt" in str(caught.value.remedy)


def test_a_bundle_without_weights(bundle):
    with pytest.raises(InputError, match="holds no weights"):
        read(bundle(weights=False))
