"""What wrappers put before names comes off, and no more."""

import pytest
import torch

from medseg.training.transfer.prefixes import stripped

WANTED = ["encoder.weight", "head.weight"]


@pytest.mark.parametrize(
    "prefix", ["", "module.", "network.", "model.", "net.", "module.model.", "network.module."]
)
def test_common_prefixes_come_off(prefix):
    state = {prefix + name: torch.zeros(1) for name in WANTED}
    found, names = stripped({**state, "loss.weight": torch.zeros(1)}, WANTED)
    assert found == prefix
    assert {name: names[name] for name in WANTED} == {name: prefix + name for name in WANTED}


def test_the_mark_of_torch_compile_comes_off_wherever_it_is():
    state = {"network._orig_mod.encoder.weight": 0, "network._orig_mod.head.weight": 0}
    prefix, names = stripped(state, WANTED)
    assert prefix == "network."
    assert names["head.weight"] == "network._orig_mod.head.weight"


def test_a_network_whose_own_names_begin_so_keeps_them():
    wanted = ["model.0.weight", "model.1.weight"]
    assert stripped(dict.fromkeys(wanted), wanted)[0] == ""
    assert stripped({f"model.{name}": 0 for name in wanted}, wanted)[0] == "model."
