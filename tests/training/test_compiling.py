import copy

import pytest
import torch
from torch import nn

from medseg.training.compiling import compile_or_not, is_compiled, uncompiled


@pytest.fixture
def network():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())


def compiler(fails):
    """A stand-in for torch.compile, which takes half a minute."""

    def compile(call, *_, **__):
        if fails == "at once":
            raise RuntimeError("no compiler\nand a long story")

        def compiled(*args, **kwargs):
            if fails == "at the first call":
                raise RuntimeError("no C++ compiler found")
            return call(*args, **kwargs)

        return compiled

    return compile


@pytest.mark.parametrize("fails", ["at once", "at the first call"])
def test_a_failing_compiler_leaves_the_network_as_it_was_and_says_so_once(
    network, monkeypatch, fails
):
    monkeypatch.setattr(torch, "compile", compiler(fails))
    x, said = torch.randn(1, 1, 5, 5), []
    expected = network(x)
    compile_or_not(network, said.append)
    for _ in range(3):
        assert torch.equal(network(x), expected)
    assert not is_compiled(network)
    assert len(said) == 1 and "\n" not in said[0] and "without it" in said[0]


def test_an_error_of_the_network_itself_is_the_users_to_see(network, monkeypatch):
    monkeypatch.setattr(torch, "compile", compiler(None))
    said = []
    assert compile_or_not(network, said.append)
    with pytest.raises(RuntimeError, match="channels"):
        network(torch.randn(1, 7, 5, 5))
    assert said == []


def test_compiling_changes_no_names_and_copies_are_plain(network, monkeypatch):
    monkeypatch.setattr(torch, "compile", compiler(None))
    names = list(network.state_dict())
    compile_or_not(network, print)
    assert is_compiled(network)
    assert list(network.state_dict()) == names
    assert not is_compiled(copy.deepcopy(network))


def test_a_compiled_network_runs_as_it_was_written_for_a_while(network, monkeypatch):
    calls = []

    def compiled(call, *_, **__):
        return lambda x: calls.append(x) or call(x)

    monkeypatch.setattr(torch, "compile", compiled)
    compile_or_not(network, print)
    with uncompiled(network):
        network(torch.randn(1, 1, 5, 5))
    assert calls == [] and is_compiled(network)


@pytest.mark.slow
def test_the_real_compiler_agrees_or_gives_way(network):
    x, said = torch.randn(1, 1, 5, 5), []
    expected = network(x)
    compile_or_not(network, said.append)
    torch.testing.assert_close(network(x), expected)
