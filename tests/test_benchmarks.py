"""The scripts of `tests/benchmarks` can be started: what they import is there."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

FOLDER = Path(__file__).parent / "benchmarks"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if path.name != "conftest.py")
# They run in an environment of nnU-Net's own.
OF_NNUNET = ("nnunet_planner",)


@pytest.fixture
def script(monkeypatch):
    """Import a script as the interpreter does that runs it; none stays imported."""
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield import_module
    for name in {path.stem for path in SCRIPTS} - before:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_benchmark_imports_what_there_is(path, script):
    if path.stem not in OF_NNUNET:
        script(path.stem)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("medseg"):
            module = import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    import_module(f"{node.module}.{alias.name}")


def test_a_timed_step_holds_all_batches_that_it_accumulates(script):
    clock = script("step").Clock("cpu", by="cpu")
    batch = 0
    clock.now = lambda: batch

    def fit():
        nonlocal batch
        for batch in range(20):
            clock.on_train_batch_end(SimpleNamespace(global_step=batch // 2))

    assert clock.of_fit(fit, 2) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["feed", "--threads", "-1"], "above 0"),
        (["feed", "--rounds", "0"], "above 0"),
        (["feed", "--sizes", "0"], "above 0"),
        (["feed", "--json", "nowhere/x.json"], "there is no folder"),
        (["feed", "--peers", "/nonexistent"], "no interpreter"),
        (["feed", "--tools", "nnunet"], "not measured"),
        (["scale", "--cases", "0"], "above 0"),
        (["race", "--budget", "abc"], "--budget"),
        (["race", "--peer", "none", "--data", "/nonexistent"], "/nonexistent"),
    ],
    ids=" ".join,
)
def test_a_benchmark_refuses_what_it_cannot_measure(words, said, script, monkeypatch, capsys):
    monkeypatch.delenv("MEDSEG_PEERS", raising=False)
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stop:
        script(words[0]).main()
    assert stop.value.code not in (0, None)
    assert said in capsys.readouterr().err + str(stop.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has such a device")
def test_a_benchmark_refuses_a_device_that_is_not_there(script, capsys):
    with pytest.raises(SystemExit):
        script("bench").parser(None).parse_args(["--device", "cuda"])
    assert "no such device" in capsys.readouterr().err
