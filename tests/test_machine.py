import subprocess
import sys

import pytest

from medseg import machine


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    """Pretend that this process lives in a cgroup whose files are these."""
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "cgroup")

    own = {}
    monkeypatch.setattr(machine, "_own_cgroups", lambda: own)

    def make(folder, named, **files):
        own.update([named])
        (tmp_path / "cgroup" / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (tmp_path / "cgroup" / folder / name.replace("__", ".")).write_text(str(text))

    return make


def test_the_limit_of_a_nested_group_of_version_2_counts_and_cached_files_are_free(cgroup):
    cgroup("", ("", "/job/step"))
    cgroup(
        "job/step",
        ("", "/job/step"),
        memory__max=10_000,
        memory__current=6_000,
        memory__stat="anon 3000\ninactive_file 1500\nactive_file 500\n",
    )
    cgroup(
        "job", ("", "/job/step"), memory__max="max", memory__current=9_000, memory__stat="anon 1\n"
    )
    assert machine.memory_limit() == 10_000
    assert machine.memory_available() == 6_000


def test_version_1_counts_the_totals_of_its_children(cgroup):
    cgroup(
        "memory/box",
        ("memory", "/box"),
        memory__limit_in_bytes=10_000,
        memory__usage_in_bytes=7_000,
        memory__stat="inactive_file 1\nactive_file 2\n"
        "total_inactive_file 900\ntotal_active_file 100\n",
    )
    assert machine.memory_available() == 4_000


def test_in_a_container_the_path_is_the_host_s_and_only_the_root_is_there(cgroup):
    cgroup(
        "", ("", "/of/the/host"), memory__max=500, memory__current=100, memory__stat="anon 100\n"
    )
    assert machine.memory_limit() == 500
    assert machine.memory_available() == 400


def test_the_peak_since_the_restart_holds_what_was_given_back():
    if not machine.resident_memory():
        pytest.skip("this system does not tell what a process holds")
    # In a process of its own: one that has run long serves a request from what it holds already.
    script = (
        "import numpy as np; from medseg import machine\n"
        "before = machine.resident_memory(); machine.peak_memory(restart=True)\n"
        "big = np.ones(20_000_000); del big\n"
        "print(machine.peak_memory() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 140_000_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's")
def test_freed_memory_can_be_given_back():
    # Pieces too small to be mapped one by one stay with the process when they are freed.
    pieces = [bytearray(50_000) for _ in range(2_000)]
    del pieces[:-1]
    before = machine.resident_memory()
    machine.give_back_freed_memory()
    assert machine.resident_memory() < before - 50 * 2**20
