from __future__ import annotations

import csv
import multiprocessing
import os
import traceback
from pathlib import Path

import numpy as np
import pytest

# Of the synthetic EchoNet-Dynamic: rows and columns; the ventricle's centre (x, y), and its half
# axes in either traced frame.
SHAPE = (48, 64)
CENTRE = (32.0, 24.0)
HALF_AXES = {2: (12.0, 18.0), 5: (8.0, 13.0)}


def chords(half: tuple[float, float], count: int = 20) -> list[tuple[float, ...]]:
    """Trace an upright ellipse as EchoNet does: its long axis, then chords from top to bottom."""
    (x, y), (a, b) = CENTRE, half
    rows = [(x, y - b, x, y + b)]
    for height in np.linspace(-0.95, 0.95, count):
        across = a * np.sqrt(1 - height**2)
        rows.append((x - across, y + height * b, x + across, y + height * b))
    return rows


def write_video(
    path: Path, frames: np.ndarray, *, codec: str = "mjpeg", pix_fmt: str = "yuvj420p"
) -> Path:
    """Write frames ``(N, I, J, 3)`` as a video."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=50)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)
    return path


class EchoNet:
    """A synthetic EchoNet-Dynamic, which tests may spoil before it is written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.splits = {"0XA1": "TRAIN", "0XB2": "TRAIN", "0XC3": "VAL", "0XD4": "TEST"}
        self.traced = list(self.splits)
        self.frames = 7

    def write(self) -> Path:
        """Write videos and tables."""
        (self.root / "Videos").mkdir(parents=True)
        # Each frame has a brightness of its own, so that a wrong one is noticed.
        grey = 20 + 30 * np.arange(self.frames, dtype=np.uint8)
        for name in self.splits:
            path = self.root / "Videos" / f"{name}.avi"
            write_video(path, np.tile(grey[:, None, None, None], (1, *SHAPE, 3)))
        self._table(
            "FileList.csv",
            "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split",
            [(n, 60, 30, 80, *SHAPE, 50, self.frames, s) for n, s in self.splits.items()],
        )
        self._table(
            "VolumeTracings.csv",
            "FileName,X1,Y1,X2,Y2,Frame",
            [
                (f"{name}.avi", *chord, frame)
                for name in self.traced
                for frame, half in HALF_AXES.items()
                for chord in chords(half)
            ],
        )
        return self.root

    def _table(self, name: str, header: str, rows: list[tuple]) -> None:
        with (self.root / name).open("w", newline="") as file:
            csv.writer(file).writerows([header.split(","), *rows])


@pytest.fixture(scope="session")
def real_data():
    """Give the path of a real data set, or skip where the folder is absent."""
    root = Path(
        os.environ.get("MEDSEG_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")
    ).resolve()

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"real data absent: {path} (set MEDSEG_TEST_DATA)")
        return path

    return find


@pytest.fixture
def video(tmp_path):
    """Give a function that writes frames ``(N, I, J, 3)`` as a video, and its path."""

    def write(frames: np.ndarray, name: str = "a.avi", **how: str) -> Path:
        return write_video(tmp_path / name, frames, **how)

    return write


@pytest.fixture
def echonet_data(tmp_path):
    """Give a synthetic EchoNet-Dynamic, not yet written."""
    return EchoNet(tmp_path / "EchoNet-Dynamic")


@pytest.fixture
def in_two_processes(tmp_path):
    """Call ``function(number)`` in two processes that work together; what it raises fails the test.

    They are forked, so the function need not travel.
    """
    import torch
    import torch.distributed as dist

    from medseg import ranks

    folder = tmp_path / "two_processes"
    folder.mkdir()

    def act(function, number):
        torch.set_num_threads(1)  # OpenMP's other threads did not come along
        try:
            store = dist.FileStore(str(folder / "store"), 2)
            with ranks.group(ranks.Rank(number, 2, number, 2), store, "test", cuda=False):
                function(number)
        except Exception:
            (folder / f"{number}.error").write_text(traceback.format_exc())

    def run(function):
        context = multiprocessing.get_context("fork")
        running = [context.Process(target=act, args=(function, number)) for number in range(2)]
        for process in running:
            process.start()
        for process in running:
            process.join(60)
            if process.is_alive():
                process.kill()
                (folder / f"{process.pid}.error").write_text("it hangs")
        errors = [path.read_text() for path in folder.glob("*.error")]
        assert not errors, "\n".join(errors)

    return run


@pytest.fixture(scope="session")
def two_machines():
    """A Ray cluster of two machines, one core each, in processes of this one."""
    pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    # Machines that do other things start slowly.
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "150")
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()
