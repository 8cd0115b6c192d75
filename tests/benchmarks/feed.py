"""Augmented patches a second: medseg, nnU-Net, MONAI and TorchIO on the same cores.

    python tests/benchmarks/feed.py --peers DIR

Every tool runs in a process of its own, one after the other, round by round; a figure is the median
of its rounds. What each does is said in feed_tools.py.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import bench
import feed_tools

NAMES = {"medseg": "medseg", "nnunet": "nnU-Net", "monai": "MONAI", "torchio": "TorchIO"}


def main() -> None:
    """Measure and print the table."""
    made = bench.parser(__doc__)
    made.add_argument("--threads", type=bench.count, default=1, help="cores of each tool")
    made.add_argument("--sizes", type=bench.count, nargs="+", default=[96, 128], help="per axis")
    made.add_argument("--channels", type=bench.count, nargs="+", default=[1, 4])
    made.add_argument("--rounds", type=bench.count, default=3)
    made.add_argument(
        "--seconds", type=bench.duration, default=10.0, help="of measuring, per round"
    )
    made.add_argument("--tools", nargs="+", choices=list(NAMES), help="default: all")
    made.add_argument(
        "--clock",
        default="wall",
        choices=["wall", "cpu"],
        help="cpu: processor time of one process, for a machine that others use (one thread only)",
    )
    args = made.parse_args()
    if args.clock == "cpu" and (args.threads > 1 or args.device != "cpu"):
        made.error("--clock cpu sees one process on the CPU: use --threads 1")
    sizes, channels, rounds, seconds = args.sizes, args.channels, args.rounds, args.seconds
    if args.quick:
        sizes, channels, rounds, seconds = [32], [1], 1, 1.0
    peers = None
    try:
        peers = bench.peers_python(args.peers)
    except bench.PeerMissingError as error:
        if set(args.tools or ()) - {"medseg"}:
            made.error(str(error))
        print(error, file=sys.stderr)
    args.tools = args.tools or list(NAMES)
    print(f"{bench.machine()}; {args.threads} of them used, {args.device}")
    table = bench.Table("augmented patches a second", [NAMES[t] for t in args.tools])
    for count in channels:
        with tempfile.TemporaryDirectory() as folder:
            shape = (64, 64, 64) if args.quick else (192, 192, 160)
            feed_tools.write(Path(folder), count, shape)
            for size in sizes:
                found: dict[str, list[float]] = {tool: [] for tool in args.tools}
                for _ in range(rounds):
                    for tool in args.tools:
                        options = [tool, "--folder", folder, "--size", size, "--seconds", seconds]
                        options += ["--threads", args.threads, "--device", args.device]
                        options += ["--clock", args.clock]
                        figure = _measure(tool, options, peers, threads=args.threads)
                        if figure is not None:
                            found[tool].append(figure)
                medians = {NAMES[t]: statistics.median(f) for t, f in found.items() if f}
                table.row(f"{size}³, {count} channel{'s' * (count != 1)}", medians)
    table.show()
    bench.save(args.json, table=table.to_dict(), threads=args.threads, device=args.device)


def _measure(tool: str, options: list[object], peers: Path | None, *, threads: int) -> float | None:
    python = sys.executable if tool == "medseg" else peers
    if python is None:
        return None
    script = Path(feed_tools.__file__)
    try:
        result = bench.run_peer(script, options, python=python, threads=threads, timeout=600)
    except bench.PeerMissingError as error:
        print(f"{tool}: {error}", file=sys.stderr)
        return None
    return float(result["patches_per_second"])


if __name__ == "__main__":
    main()
