from __future__ import annotations

import pytest

from medseg.errors import InputError
from medseg.networks import DilatedUNet
from medseg.networks.anatomy import picture
from medseg.networks.anatomy.dissect import dissect
from medseg.networks.anatomy.layers import Layer, Node


@pytest.fixture(scope="module")
def anatomy():
    network = DilatedUNet(spatial_dims=2, in_channels=1, num_classes=3, features=(4, 8, 16))
    return dissect(network, in_channels=1, size=(16, 16), name="dilated_unet")


@pytest.mark.parametrize(
    ("name", "magic"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("A.PNG", b"\x89PNG")]
)
def test_a_picture_is_of_the_kind_its_name_says(anatomy, tmp_path, name, magic):
    picture.draw(anatomy, tmp_path / "new" / name)
    assert (tmp_path / "new" / name).read_bytes().startswith(magic)
    assert [file.name for file in (tmp_path / "new").iterdir()] == [name]


def test_the_picture_names_levels_channels_and_totals(anatomy, tmp_path, monkeypatch):
    import matplotlib

    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")
    picture.draw(anatomy, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    for word in ("16 x 16", "8 x 8", "4 x 4", f"{anatomy.parameters:,} parameters", "dilated"):
        assert word in text


def test_an_existing_picture_is_replaced_only_if_asked(anatomy, tmp_path):
    file = tmp_path / "a.png"
    file.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        picture.draw(anatomy, file)
    assert file.read_text() == "mine"
    picture.draw(anatomy, file, overwrite=True)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_other_kinds_of_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        picture.check(tmp_path / "a.pdf", overwrite=False)


def test_depth_and_halvings_give_the_places(anatomy):
    places = picture.layout(anatomy)
    assert places[0] == (0.0, 0.0)
    assert {round(y) for _, y in places} == {0, -1, -2}
    for node, (x, _) in zip(anatomy.nodes, places, strict=True):
        assert all(places[source][0] < x for source in node.inputs)
    assert len(set(places)) == len(places)  # the parallel branches stand apart


def test_every_skip_of_a_unet_is_an_edge_to_where_it_joins(anatomy):
    names = {i: anatomy.layers[n.layer].name for i, n in enumerate(anatomy.nodes) if n.layer}
    joins = [node for node in anatomy.nodes if node.symbol == "cat"]
    read = [{names.get(source, "") for source in node.inputs} for node in joins]
    assert {"decoder.0.enlarge", "encoder.0.1.0"} in read
    assert {"decoder.1.enlarge", "encoder.1.1.0"} in read
    assert [node.symbol for node in anatomy.nodes].count("+") == 1  # around the context


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (None, "image"),
        (Layer("a", "Conv3d", kernel=(3,), stride=(1,), dilation=(1,)), "convolution"),
        (Layer("a", "Conv3d", kernel=(3,), stride=(2,), dilation=(1,)), "strided"),
        (Layer("a", "Conv3d", kernel=(3,), stride=(1,), dilation=(2,)), "dilated"),
        (Layer("a", "ConvTranspose3d", kernel=(2,), stride=(2,), dilation=(1,)), "transposed"),
        (Layer("a", "MaxPool3d", kernel=(2,), stride=(2,), dilation=(1,)), "pooling"),
        (Layer("a", "upsample_trilinear3d"), "enlarging"),
        (Layer("a", "Linear"), "channels or attention"),
    ],
)
def test_kinds_have_their_colours(layer, kind):
    assert picture.kind_of(Node((1,)), layer) == kind
