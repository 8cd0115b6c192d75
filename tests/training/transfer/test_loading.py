"""A network is filled by name, its ends adapted, and every weight accounted for."""

from __future__ import annotations

import json

import pytest
import torch

from medseg.errors import InputError
from medseg.networks import UNet
from medseg.networks.neighbouring_slices import NeighbouringSlices
from medseg.training.transfer import Source, load_pretrained

FIRST, HEAD = "encoder.0.0.0.weight", "heads.0.weight"


def unet(**changes):
    torch.manual_seed(changes.pop("seed", 0))
    arguments = {"spatial_dims": 2, "in_channels": 1, "num_classes": 2, "features": (4, 8)}
    return UNet(**{**arguments, **changes})


def source(tmp_path, trained, *, prefix="", **more):
    state = {prefix + name: value for name, value in trained.state_dict().items()}
    return Source(tmp_path / "weights.pt", "weights", state, **more)


def test_the_same_network_is_filled_to_the_bit(tmp_path):
    before, network = unet(seed=1), unet()
    report = load_pretrained(network, source(tmp_path, before, prefix="module.model."))
    assert all(v.equal(before.state_dict()[n]) for n, v in network.state_dict().items())
    assert report.prefix == "module.model." and report.share == 1.0
    assert {entry.fate for entry in report.entries} == {"matched"}


def test_a_file_of_torch_is_filled_in_too(tmp_path):
    before, network = unet(seed=1), unet()
    torch.save({"state_dict": before.state_dict()}, tmp_path / "weights.pt")
    load_pretrained(network, tmp_path / "weights.pt")
    assert network.state_dict()[FIRST].equal(before.state_dict()[FIRST])


def test_one_channel_becomes_four_and_two_classes_three(tmp_path):
    before, network = unet(seed=1), unet(in_channels=4, num_classes=3)
    fresh = network.state_dict()[HEAD].clone()
    found = source(tmp_path, before, channels=("T1",), classes=("background", "liver"))
    report = load_pretrained(
        network,
        found,
        channels=("FLAIR", "T1", "T1gd", "T2"),
        classes=("background", "tumour", "liver"),
    )
    own, old = network.state_dict(), before.state_dict()
    torch.testing.assert_close(own[FIRST], old[FIRST].expand(-1, 4, -1, -1) / 4)
    assert own[HEAD].equal(torch.stack([old[HEAD][0], fresh[1], old[HEAD][1]]))
    adapted = {entry.name: entry for entry in report.of("adapted")}
    assert set(adapted) == {FIRST, HEAD, "heads.0.bias"}
    assert adapted[FIRST].source_shape == (4, 1, 3, 3) and adapted[FIRST].shape == (4, 4, 3, 3)
    assert adapted[FIRST].how == "kept T1; FLAIR, T1gd, T2: the mean of the file's; all times 1/4"
    assert adapted[HEAD].how == "kept background, liver; new tumour"


def test_exchanged_channels_and_classes_are_exchanged(tmp_path):
    before, network = unet(seed=1, in_channels=2), unet(in_channels=2)
    found = source(tmp_path, before, channels=("T1", "T2"), classes=("background", "liver"))
    load_pretrained(network, found, channels=("t2", "t1"), classes=("Liver", "Background"))
    own, old = network.state_dict(), before.state_dict()
    assert own[FIRST].equal(old[FIRST].flip(1)) and own[HEAD].equal(old[HEAD].flip(0))


def test_regions_are_not_made_of_classes(tmp_path):
    before, network = unet(seed=1), unet()
    fresh = network.state_dict()[HEAD].clone()
    found = source(tmp_path, before, classes=("WT", "TC"), regions=False)
    report = load_pretrained(network, found, classes=("WT", "TC"), regions=True)
    assert network.state_dict()[HEAD].equal(fresh)
    assert [entry.name for entry in report.of("new")] == [HEAD, "heads.0.bias"]


def test_heads_of_deep_supervision_may_be_new_or_unused(tmp_path):
    plain, deep = unet(features=(4, 6, 8)), unet(features=(4, 6, 8), deep_supervision=True)
    report = load_pretrained(deep, source(tmp_path, plain))
    assert [entry.name for entry in report.of("new")] == ["heads.1.weight", "heads.1.bias"]
    report = load_pretrained(plain, source(tmp_path, deep))
    assert [entry.name for entry in report.of("unused")] == ["heads.1.weight", "heads.1.bias"]


def test_channels_of_neighbouring_slices_are_those_of_their_slice(tmp_path):
    torch.manual_seed(0)
    arguments = {"spatial_dims": 3, "num_classes": 2, "features": (4, 8)}
    before = UNet(in_channels=2, **arguments)
    network = NeighbouringSlices(UNet(in_channels=6, **arguments), axis=2, neighbours=1)
    load_pretrained(network, source(tmp_path, before, channels=("A", "B")), channels=("B", "A"))
    own, old = network.network.state_dict()[FIRST], before.state_dict()[FIRST]
    torch.testing.assert_close(own[:, 2:4], old.flip(1) / 3)
    torch.testing.assert_close(own[:, 0], old.mean(1) / 3)


@pytest.mark.parametrize("neighbours", [0, 1])
def test_what_a_first_stage_found_changes_nothing_before_it_is_learnt(tmp_path, neighbours):
    def network(channels, seed):
        slices = 2 * neighbours + 1
        flat = unet(spatial_dims=3, in_channels=slices * channels, seed=seed).double()
        return NeighbouringSlices(flat, axis=2, neighbours=neighbours) if neighbours else flat

    before, guided = network(2, 1), network(4, 0)
    inner = getattr(before, "network", before)
    found = source(tmp_path, inner, channels=("A", "B"), neighbours=neighbours)
    report = load_pretrained(guided, found, channels=("A", "B"), guides=("liver", "tumour"))
    image = torch.randn(1, 2, 8, 8, 8 + 2 * neighbours).double()
    masks = torch.randint(2, image.shape).double()
    logits = guided(torch.cat([image, masks], dim=1))
    torch.testing.assert_close(logits, before(image), rtol=0, atol=1e-12)
    (entry,) = report.of("adapted")
    assert len(entry.zero) == 2 * (2 * neighbours + 1) and "mask of liver" in entry.zero
    logits[:, 1].sum().backward()
    kernels = dict(guided.named_parameters())["network." * bool(neighbours) + FIRST].grad
    assert all(kernel.any() for kernel in kernels.unbind(1))  # they can be learnt


def test_masks_in_the_file_alone_are_left_out(tmp_path):
    before, network = unet(seed=1, in_channels=3), unet()
    found = source(tmp_path, before, channels=("CT",), guides=("liver", "tumour"))
    report = load_pretrained(network, found, channels=("CT",))
    assert network.state_dict()[FIRST].equal(before.state_dict()[FIRST][:, :1])
    assert report.to_dict()["adapted"][0]["how"] == (
        "kept CT; mask of liver, mask of tumour: left out"
    )


def test_weights_that_two_modules_share_are_counted_once(tmp_path):
    from medseg.networks import registry

    arguments = {
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 2,
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "filters": [4, 6, 8],
    }
    before = registry.create("monai.DynUNet", arguments)
    network = registry.create("monai.DynUNet", {**arguments, "in_channels": 3})
    report = load_pretrained(network, source(tmp_path, before))
    assert not report.of("unused") and not report.of("new")
    assert len(report.entries) == len(list(network.parameters()))
    torch.testing.assert_close(
        network.input_block.conv1.conv.weight,
        before.input_block.conv1.conv.weight.expand(-1, 3, -1, -1) / 3,
    )


def test_the_report_goes_into_json_and_a_table(tmp_path):
    before = unet(seed=1, features=(4, 8))
    state = {**before.state_dict(), "extra.weight": torch.ones(3)}
    report = load_pretrained(unet(num_classes=3), Source(tmp_path / "weights.pt", "weights", state))
    content = json.loads(json.dumps(report.to_dict()))
    assert content["unused"] == [{"name": "extra.weight", "shape": [3]}]
    assert content["new"][0]["how"] == "none of its classes is in the file"
    total = sum(p.numel() for p in unet(num_classes=3).parameters())
    assert report.share == pytest.approx(1 - (3 * 4 + 3) / total)
    fates = [row[0] for row in report.rows()]
    assert fates == ["matched", "new", "unused"]


def refused(network, found):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(InputError) as caught:
        load_pretrained(network, found)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    return str(caught.value)


def test_a_file_with_nothing_that_matches_names_keys_of_both_sides(tmp_path):
    found = Source(tmp_path / "x.pt", "weights", {"blocks.0.weight": torch.ones(3)})
    message = refused(unet(), found)
    assert "nothing in the file belongs to this network" in message
    assert "encoder.0.0.0.weight" in message and "blocks.0.weight" in message


def test_a_head_alone_is_nothing(tmp_path):
    state = {name: value for name, value in unet().state_dict().items() if "heads" in name}
    assert "nothing in the file" in refused(unet(), Source(tmp_path / "x.pt", "weights", state))


def test_another_shape_in_the_middle_names_layer_shapes_and_remedy(tmp_path):
    found = source(
        tmp_path,
        unet(features=(4, 6)),
        network={"name": "unet", "arguments": {}},
        structure={"features": [4, 6]},
    )
    message = refused(unet(), found)
    assert "the layer encoder.1.0.0.weight has another shape" in message
    assert "(8, 4, 3, 3)" in message and "(6, 4, 3, 3)" in message
    assert "network unet, plan.features=[4, 6]" in message


@pytest.mark.parametrize(("own", "theirs"), [(2, 3), (3, 2)])
def test_weights_are_not_inflated_from_2d_to_3d_nor_flattened(tmp_path, own, theirs):
    message = refused(unet(spatial_dims=own), source(tmp_path, unet(spatial_dims=theirs)))
    assert "not inflated to 3D, nor flattened" in message


def test_learnt_positions_are_of_one_patch(tmp_path):
    from medseg.networks import UNETR

    def unetr(size):
        small = {"hidden_size": 12, "mlp_dim": 24, "num_heads": 2, "feature_size": 4}
        return UNETR(spatial_dims=2, in_channels=1, num_classes=2, img_size=(size, size), **small)

    assert "plan.patch_size" in refused(unetr(32), source(tmp_path, unetr(16)))
