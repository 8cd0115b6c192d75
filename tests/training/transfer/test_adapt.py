"""First and last layers fit other channels and classes as the documentation says."""

import torch

from medseg.training.transfer.adapt import (
    adapt_inputs,
    adapt_outputs,
    input_mapping,
    output_mapping,
)


def test_channels_are_mapped_by_name_whatever_the_case_of_letters():
    mapping = input_mapping(["T2", "ct", "t1"], ["T1", "T2"], count=3, their_count=2)
    assert mapping == [1, None, 0]


def test_channels_without_names_are_taken_in_order_or_not_at_all():
    assert input_mapping(None, ["a", "b"], count=2, their_count=2) == [0, 1]
    assert input_mapping(["a"], None, count=1, their_count=4) == [None]


def test_channels_of_which_no_name_agrees_count_as_unnamed():
    assert input_mapping(["CT"], ["MR"], count=1, their_count=1) == [0]
    assert input_mapping(["CT", "PET"], ["MR"], count=2, their_count=1) == [None, None]


def test_names_that_are_not_as_many_as_the_channels_count_as_unknown():
    assert input_mapping(["RGB"], ["RGB"], count=3, their_count=3) == [0, 1, 2]


def test_classes_of_other_names_are_new_even_if_they_are_as_many():
    assert output_mapping(["bg", "liver"], ["bg", "spleen"], count=2, their_count=2) == [0, None]
    assert output_mapping(None, ["bg", "spleen"], count=2, their_count=2) == [0, 1]
    assert output_mapping(None, None, count=3, their_count=2) == [None] * 3


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


def test_known_classes_are_carried_over_and_others_stay_fresh():
    values, fresh = torch.randn(2, 4, 1), torch.randn(3, 4, 1)
    adapted = adapt_outputs(values, fresh, axes=(0,), mapping=[0, None, 1])
    assert torch.equal(adapted, torch.stack([values[0], fresh[1], values[1]]))


def test_layers_from_classes_to_classes_are_adapted_on_both_sides():
    values, fresh = torch.randn(2, 2, 3), torch.randn(3, 3, 3)
    adapted = adapt_outputs(values, fresh, axes=(0, 1), mapping=[1, None, 0])
    expected = fresh.clone()
    expected[0, 0], expected[0, 2] = values[1, 1], values[1, 0]
    expected[2, 0], expected[2, 2] = values[0, 1], values[0, 0]
    assert torch.equal(adapted, expected)


def test_half_precision_comes_back_in_the_networks_own():
    values = torch.randn(2, 4).half()
    adapted = adapt_outputs(values, torch.zeros(2, 4), axes=(0,), mapping=[0, 1])
    assert adapted.dtype == torch.float32
