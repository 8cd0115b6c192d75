"""What a training takes of a Ray cluster, and processes on one of two machines."""

import json
import socket
import time

import pytest

from medseg.errors import InputError
from medseg.stages import ray_cluster
from medseg.stages.ray_cluster import Resources, capacity, connected, resources

CPU = {"CPU": 8.0, "memory": 1e9}
GPU = {"CPU": 16.0, "GPU": 4.0}


def asked(nodes, *, apart=5, cpus=None, gpus=None, wants_gpus=1):
    return resources(nodes, apart=apart, cpus=cpus, gpus=gpus, wants_gpus=wants_gpus)


@pytest.mark.parametrize(
    ("nodes", "options", "expected"),
    [
        ([CPU], {}, Resources(1, 0)),  # 8 // 5
        ([CPU, CPU], {"apart": 2}, Resources(8, 0)),  # no more than one machine has
        ([CPU], {"apart": 100}, Resources(1, 0)),
        ([GPU], {}, Resources(4, 1)),  # four side by side
        ([GPU], {"apart": 2}, Resources(8, 1)),
        ([CPU, GPU], {}, Resources(4, 1)),  # only machines with a GPU count
        ([GPU], {"wants_gpus": 2}, Resources(8, 2)),
        ([GPU], {"wants_gpus": 0}, Resources(3, 0)),
        ([GPU], {"gpus": 0.5, "cpus": 2}, Resources(2, 0.5)),
    ],
)
def test_each_training_gets_its_share(nodes, options, expected):
    assert asked(nodes, **options) == expected


@pytest.mark.parametrize(
    ("nodes", "each", "count"),
    [
        ([CPU, CPU], Resources(3, 0), 4),
        ([GPU, CPU], Resources(2, 1), 4),
        ([GPU], Resources(5, 1), 3),
        ([CPU], Resources(1, 1), 0),
        ([], Resources(1, 0), 0),
    ],
)
def test_a_cluster_holds_as_many_as_its_machines_do(nodes, each, count):
    assert capacity(nodes, each) == count


def test_more_than_any_machine_has_is_refused_naming_what_there_is():
    with pytest.raises(InputError, match="no machine of the cluster") as caught:
        asked([CPU, GPU], cpus=32)
    assert "8 CPUs, 0 GPUs; 16 CPUs, 4 GPUs" in str(caught.value)
    with pytest.raises(InputError, match="no machine"):
        asked([CPU], gpus=1)
    with pytest.raises(InputError, match="a part of one GPU"):
        asked([GPU], gpus=1.5)


def test_without_ray_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _: None)
    with (
        pytest.raises(InputError, match="not installed") as caught,
        connected("local", apart=1, cpus=None, gpus=None, wants_gpus=0),
    ):
        pass
    assert "pip install" in caught.value.remedy


@pytest.mark.parametrize("address", ["nonsense", "host:", ":1", "ray://host", "host:port"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(InputError, match="no address of a Ray cluster"):
        ray_cluster._require_answer(address)


def test_an_address_where_nobody_listens_is_refused_soon():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(InputError, match="no Ray cluster") as caught:
        ray_cluster._require_answer(f"127.0.0.1:{port}")
    assert time.monotonic() - began < 15 and "ray start --head" in caught.value.remedy


def ended(process, seconds=60):
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    return process.returncode


@pytest.mark.slow
def test_processes_run_on_both_machines_with_our_environment(two_machines, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_TEST_WORD", "hello")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "say.py").write_text(
        "import json, os, sys, time\n"
        "print(json.dumps([sys.argv[1], os.environ['MEDSEG_TEST_WORD'], os.getcwd(),"
        " os.environ['OMP_NUM_THREADS'], os.environ['CUDA_VISIBLE_DEVICES']]), flush=True)\n"
        "time.sleep(3); sys.exit(int(sys.argv[1]))\n"
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = {"apart": 2, "cpus": None, "gpus": None, "wants_gpus": 1}
    with connected(two_machines.address, **options) as cluster:
        assert cluster.each == Resources(1, 0) and cluster.capacity == 2
        started = [cluster.start("say", str(n), tmp_path / f"{n}.log") for n in (0, 2)]
        assert [ended(process) for process, _ in started] == [0, 2]
        lines = [log.read_text().splitlines() for _, log in started]
        # Both had to be at work at once.
        assert len({line[0] for line in lines}) == 2
        for line, number in zip(lines, "02", strict=True):
            assert json.loads(line[1]) == [number, "hello", str(tmp_path), "1", ""]


@pytest.mark.slow
def test_a_process_that_is_asked_to_stop_does_so_at_its_safe_point(two_machines, tmp_path):
    monkey = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(130))\n"
    (tmp_path / "wait_here.py").write_text(f"{monkey}print('up', flush=True)\ntime.sleep(60)\n")
    with (
        pytest.MonkeyPatch.context() as patch,
        connected(two_machines.address, apart=1, cpus=1, gpus=0, wants_gpus=0) as cluster,
    ):
        patch.chdir(tmp_path)
        process, log = cluster.start("wait_here", "", tmp_path / "log")
        until = time.monotonic() + 60
        while "up" not in log.read_text() and time.monotonic() < until:
            time.sleep(0.1)
        assert process.poll() is None
        process.terminate()
        assert process.wait() == 130
        # What it took is free again.
        again, _ = cluster.start("this_module_is_not_there", "", tmp_path / "log2")
        assert ended(again) == 1
        assert "No module named" in (tmp_path / "log2").read_text()
