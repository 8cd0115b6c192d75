"""First layers fit other channels, those of an image and those of a guide."""

import pytest
import torch

from medseg.training.transfer.inputs import (
    Channel,
    Channels,
    adapt_inputs,
    adapted,
    input_mapping,
)


def mapping(ours, count, theirs, their_count):
    return input_mapping(Channels(ours).of_layer(count), Channels(theirs).of_layer(their_count))


def test_channels_are_mapped_by_name_whatever_the_case_of_letters():
    assert mapping(["T2", "ct", "t1"], 3, ["T1", "T2"], 2) == [1, None, 0]


def test_channels_without_names_are_taken_in_order_or_not_at_all():
    assert mapping(None, 2, ["a", "b"], 2) == [0, 1]
    assert mapping(["a"], 1, None, 4) == [None]


def test_channels_of_which_no_name_agrees_count_as_unnamed():
    assert mapping(["CT"], 1, ["MR"], 1) == [0]
    assert mapping(["CT", "PET"], 2, ["MR"], 1) == [None, None]


def test_names_that_are_not_as_many_as_the_channels_count_as_unknown():
    assert mapping(["RGB"], 3, ["RGB"], 3) == [0, 1, 2]


def test_one_channel_is_shared_among_four():
    weight = torch.randn(5, 1, 3, 3, 3)
    adapted = adapt_inputs(weight, [None] * 4)
    torch.testing.assert_close(adapted, weight.expand(-1, 4, -1, -1, -1) / 4)


def test_four_channels_add_up_to_one():
    weight = torch.randn(5, 4, 3, 3)
    torch.testing.assert_close(adapt_inputs(weight, [None]), weight.sum(1, keepdim=True))


def test_an_image_that_is_alike_in_all_channels_gives_what_it_gave():
    weight = torch.randn(5, 2, 3, 3, dtype=torch.float64)
    image = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    conv = torch.nn.functional.conv2d
    torch.testing.assert_close(
        conv(image.expand(-1, 3, -1, -1), adapt_inputs(weight, [None, None, None])),
        conv(image.expand(-1, 2, -1, -1), weight),
    )


def test_a_channel_with_a_namesake_keeps_its_kernels():
    weight = torch.randn(5, 2, 3, 3)
    adapted = adapt_inputs(weight, [1, None, 0])
    expected = torch.stack([weight[:, 1], weight.mean(1), weight[:, 0]], dim=1) * 2 / 3
    torch.testing.assert_close(adapted, expected)


def test_exchanged_channels_are_exchanged_to_the_bit():
    weight = torch.randn(5, 2, 3, 3)
    assert torch.equal(adapt_inputs(weight, [1, 0]), weight.flip(1))


def test_masks_follow_the_image_in_every_slice():
    found = Channels(["A", "B"], ["liver"], neighbours=1).of_layer(9)
    assert [str(channel) for channel in found] == [
        *("A -1", "B -1", "mask of liver -1"),
        *("A", "B", "mask of liver"),
        *("A +1", "B +1", "mask of liver +1"),
    ]
    assert Channels(["A", "B"], ["liver"], neighbours=1).of_layer(8) == [Channel()] * 8


def test_the_mask_of_a_class_is_no_image_of_its_name():
    ours = Channels(["CT"], ["liver"]).of_layer(2)
    assert input_mapping(ours, Channels(["CT", "liver"]).of_layer(2)) == [0, None]


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        # The same image with masks that the file has not: they are zero, the image as it was.
        ((["A", "B"], ["x", "y"]), (["A", "B"], []), [(0, 1), (1, 1), None, None]),
        # As many channels, which once were taken in order.
        ((["A"], ["x", "y"]), (["A", "B", "C"], []), [(0, 3), None, None]),
        ((["A", "B", "C"], []), (["A"], ["x", "y"]), [(0, 1 / 3), "mean", "mean"]),
        # Masks of the same class, in another order, and one that goes.
        ((["A"], ["y", "x"]), (["A"], ["x", "y", "z"]), [(0, 1), (2, 1), (1, 1)]),
        # Channels nobody has named are those of the image, in order.
        ((None, ["x"]), (None, []), [(0, 1), (1, 1), None]),
        # Masks are not scaled where the image's channels are.
        ((["A", "B"], ["x"]), (["A"], ["x"]), [(0, 0.5), "mean", (1, 1)]),
    ],
)
def test_masks_count_neither_in_the_ratio_nor_in_the_mean(ours, theirs, expected):
    ours, theirs = Channels(*ours), Channels(*theirs)
    their_images = 2 if theirs.images is None else len(theirs.images)
    weight = torch.randn(5, their_images + len(theirs.guides), 3, 3)
    found = adapted(weight, len(expected), ours=ours, theirs=theirs).weight
    images = len(expected) - len(ours.guides)
    for own, what in enumerate(expected):
        if what is None:
            assert not found[:, own].any()
        elif what == "mean":
            mean = weight[:, :their_images].mean(1) * their_images / images
            torch.testing.assert_close(found[:, own], mean)
        else:
            torch.testing.assert_close(found[:, own], weight[:, what[0]] * what[1])


def test_words_name_what_became_of_masks():
    found = adapted(
        torch.randn(5, 3, 3, 3),
        4,
        ours=Channels(["A", "B"], ["liver", "tumour"]),
        theirs=Channels(["A"], ["spleen", "liver"]),
    )
    assert found.zero == ("mask of tumour",)
    assert found.how == (
        "kept A, mask of liver; B: the mean of the file's; those of the image times 1/2; "
        "mask of tumour: zero; mask of spleen: left out"
    )


def test_the_same_channels_are_not_touched():
    weight, same = torch.randn(5, 9, 3, 3), Channels(["A"], ["x", "y"], neighbours=1)
    found = adapted(weight, 9, ours=same, theirs=same)
    assert found.weight is weight and not found.how and not found.zero
