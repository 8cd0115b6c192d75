"""Last layers fit other classes as the documentation says."""

import torch

from medseg.training.transfer.outputs import adapt_outputs, output_mapping


def test_classes_of_other_names_are_new_even_if_they_are_as_many():
    assert output_mapping(["bg", "liver"], ["bg", "spleen"], count=2, their_count=2) == [0, None]
    assert output_mapping(None, ["bg", "spleen"], count=2, their_count=2) == [0, 1]
    assert output_mapping(None, None, count=3, their_count=2) == [None] * 3


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
