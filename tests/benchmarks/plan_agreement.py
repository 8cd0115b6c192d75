"""Hold our planner against nnU-Net's own, on data sets given as numbers.

    python tests/benchmarks/plan_agreement.py --peers DIR [--pin] [--markdown]

Prints, per data set, preset and configuration, whether both plan the same spacing, patch, batch,
strides, kernels, features and batch Dice, and one line of reason where they do not. Without peers
the answers that ``--pin`` wrote for the tests are taken. ``--quick`` takes every fifth data set.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.errors import InputError
from medseg.planning.axes import coarsest_first
from medseg.planning.fingerprint import CaseFingerprint, Fingerprint, Intensity
from medseg.planning.plan import Plan
from medseg.planning.planner import plan

TESTS = Path(__file__).resolve().parents[1] / "planning"
DATA_SETS, ANSWERS = TESTS / "data_sets.json", TESTS / "nnunet_answers.json"
PRESETS = ("standard", "resenc_s", "resenc_m", "resenc_l", "resenc_xl")
CONFIGURATIONS = ("3d_fullres", "3d_lowres", "2d")
COMPARED = (
    "spacing",
    "patch_size",
    "batch_size",
    "strides",
    "kernels",
    "features",
    "batch_dice",
    "normalisation",
)

# nnU-Net moves a coarse axis that would be finer than the others by this, for no effect.
NUDGE = 1.1e-5


def cases_of(row: Mapping[str, Any]) -> tuple[list[list[int]], list[list[float]]]:
    """Spread a row of ``data_sets.json`` over its cases: shapes and spacings in nnU-Net's order.

    An axis is one number, or the least, median and largest of the cases.
    """
    count = row["cases"]

    def axis(values: Any, step: int) -> list[float]:
        if not isinstance(values, list):
            return [values] * count
        low, middle, high = values
        ranks = [(i * step % count + 0.5) / count for i in range(count)]
        return [
            low + (middle - low) * 2 * r if r < 0.5 else middle + (high - middle) * (2 * r - 1)
            for r in ranks
        ]

    steps = [s for s in (7, 11, 13, 17, 19, 23, 29, 31) if count % s][:6]
    shape = [axis(v, s) for v, s in zip(row["shape"], steps[:3], strict=True)]
    # The two axes of a slice have one spacing.
    in_plane = [steps[3], steps[4], steps[4]]
    spacing = [axis(v, s) for v, s in zip(row["spacing"], in_plane, strict=True)]
    shapes = [[round(n) for n in case] for case in zip(*shape, strict=True)]
    return shapes, [[round(s, 4) for s in case] for case in zip(*spacing, strict=True)]


def fingerprint(row: Mapping[str, Any]) -> Fingerprint:
    """Make our fingerprint of a row; volumes in our order of axes, pictures without the first."""
    shapes, spacings = cases_of(row)
    flat = shapes[0][0] == 1
    stats = Intensity(1000, 0.0, 500.0, 100.0, 20.0, 10.0, 99.0, 400.0)
    some = (stats,) * len(row["channels"])
    cases = []
    for number, (shape, spacing) in enumerate(zip(shapes, spacings, strict=True)):
        own, mm = (shape[1:], spacing[1:]) if flat else (shape[::-1], spacing[::-1])
        whole = (round(own[0] / row["crop"]), *own[1:])
        cases.append(
            CaseFingerprint(
                id=f"case_{number:04d}",
                shape=whole,
                spacing=tuple(mm),
                orientation=None if flat else "RAS",
                cropped_shape=tuple(own),
                image_dtype="int16",
                label_dtype="uint8",
                foreground=some,
                nonzero=some,
                label_voxels=(100,) * (row["classes"] + 1),
            )
        )
    classes = range(1, row["classes"] + 1)
    labels: dict[str, Any] = {"values": {"background": 0, **{f"class {i}": i for i in classes}}}
    if row.get("regions"):  # nested: all classes, all but the first, …
        labels["regions"] = {f"region {i}": list(classes)[i - 1 :] for i in classes}
    return Fingerprint(tuple(row["channels"]), labels, tuple(cases), some)


def ours(found: Fingerprint, preset: str) -> dict[str, dict[str, Any]]:
    """Plan every configuration that the data have, written in nnU-Net's order of axes."""
    answers = {}
    for name in CONFIGURATIONS if found.spatial_dims == 3 else ("2d",):
        try:
            made = plan(found, configuration=name, preset=preset)  # type: ignore[arg-type]
        except InputError:
            continue
        answers[name] = in_their_order(made.plan, name)
    return answers


def in_their_order(made: Plan, configuration: str) -> dict[str, Any]:
    """Write a plan as nnU-Net does: the coarsest axis first, and in 2D without it."""
    order = list(coarsest_first(made.preprocessing.spacing))
    if configuration == "2d" and made.spatial_dims == 3:
        order = order[1:]

    def turned(values: Sequence) -> list:
        return [values[axis] for axis in order]

    return {
        "spacing": turned(made.preprocessing.spacing),
        "patch_size": turned(made.patch_size),
        "batch_size": made.batch_size,
        "strides": digits(map(turned, made.strides)),
        "kernels": digits(map(turned, made.kernels)),
        "features": list(made.features),
        "batch_dice": made.batch_dice,
        "normalisation": [
            channel.scheme + (" in the mask" if channel.masked else "")
            for channel in made.preprocessing.normalisation
        ],
    }


def digits(stages: Iterable[Sequence[int]]) -> str:
    """Write numbers per stage and axis in short: ``111 122 222``."""
    return " ".join("".join(map(str, stage)) for stage in stages)


def differences(own: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Name the values in which two plans differ."""
    out = []
    for key in COMPARED:
        same = own[key] == theirs[key]
        if key == "spacing":
            pairs = zip(own[key], theirs[key], strict=True)
            same = all(abs(a - b) <= NUDGE for a, b in pairs)
        if not same:
            out.append(key)
    return out


def ask(rows: Sequence[Mapping[str, Any]], peers: str | None) -> dict[str, Any]:
    """Run nnU-Net's planner on the rows."""
    import bench

    asked = []
    for row in rows:
        shapes, spacings = cases_of(row)
        asked.append({**row, "shapes": shapes, "spacings": spacings, "presets": list(PRESETS)})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        file.write_text(json.dumps(asked))
        script = Path(__file__).with_name("nnunet_planner.py")
        return bench.run_peer(script, [file], python=bench.peers_python(peers), threads=1)


def compare(rows: Sequence[Mapping[str, Any]], answers: Mapping[str, Any]) -> Iterator[Compared]:
    """Plan every row as we do, and yield it beside nnU-Net's plan."""
    for row in rows:
        found = fingerprint(row)
        for preset in PRESETS:
            own, theirs = ours(found, preset), answers[row["name"]][preset]
            for name in CONFIGURATIONS:
                if name in own or name in theirs:
                    yield Compared(row, preset, name, own.get(name), theirs.get(name))


@dataclass(frozen=True)
class Compared:
    """One configuration of one data set; a plan is ``None`` where there is none."""

    row: Mapping[str, Any]
    preset: str
    configuration: str
    own: Mapping[str, Any] | None
    theirs: Mapping[str, Any] | None

    @property
    def unlike(self) -> list[str]:
        """What differs; empty: the plans are the same."""
        if self.own is None or self.theirs is None:
            return ["existence"]
        return differences(self.own, self.theirs)

    @property
    def reason(self) -> str:
        """Why ours differs, in one line; empty where nobody has written it down."""
        if self.row.get("regions") and self.unlike == ["batch_size"]:
            return "a network of regions has no output for background: memory for one patch more"
        return ""


def lines_of(compared: Sequence[Compared]) -> Iterator[list[str]]:
    """Give a line a data set: our plain plan, and in how many plans we agree."""
    by_row: dict[str, list[Compared]] = {}
    for one in compared:
        by_row.setdefault(one.row["name"], []).append(one)
    for name, plans in by_row.items():
        standard = {p.configuration: p.own for p in plans if p.preset == "standard"}
        cells = []
        for configuration in CONFIGURATIONS:
            own = standard.get(configuration)
            size = "×".join(map(str, own["patch_size"])) if own else "–"
            cells.append(f"{size}, {own['batch_size']}" if own else size)
        good = sum(not p.unlike for p in plans)
        yield [name, median_of(plans[0].row), *cells, f"{good} of {len(plans)}"]


def median_of(row: Mapping[str, Any]) -> str:
    """Write a row's median image: voxels, and mm."""
    shape, spacing = (
        [v[1] if isinstance(v, list) else v for v in row[key]] for key in ("shape", "spacing")
    )
    first = int(shape[0] == 1)  # a picture's own axes
    return "×".join(map(str, shape[first:])) + ", " + "×".join(f"{s:g}" for s in spacing[first:])


def main() -> None:
    """Compare and print."""
    import bench

    parser = bench.parser(__doc__)
    parser.add_argument("--pin", action="store_true", help="keep nnU-Net's answers for the tests")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    arguments = parser.parse_args()
    rows = json.loads(DATA_SETS.read_text())[:: 5 if arguments.quick and not arguments.pin else 1]
    try:
        answers = ask(rows, arguments.peers)
    except bench.PeerMissingError as error:
        if arguments.pin:
            sys.exit(str(error))
        print(f"{error}\n(taking the pinned answers of nnU-Net 2.8.1)", file=sys.stderr)
        answers = json.loads(ANSWERS.read_text())
    if arguments.pin:
        lines = [f" {json.dumps(k)}: {json.dumps(v)}" for k, v in answers.items()]
        ANSWERS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    compared = list(compare(rows, answers))
    head = ["data set", "median image, mm", *CONFIGURATIONS, "the same"]
    body = list(lines_of(compared))
    if arguments.markdown:
        for line in [head, ["---"] * len(head), *body]:
            print("| " + " | ".join(line) + " |")
    else:
        widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        for line in [head, *body]:
            print("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip())
    unlike = [one for one in compared if one.unlike]
    print(f"\n{len(compared) - len(unlike)} of {len(compared)} plans are the same.")
    for one in unlike:
        where = f"{one.row['name']}, {one.preset}, {one.configuration}"
        for key in one.unlike:
            values = f"{(one.own or {}).get(key)}, nnU-Net {(one.theirs or {}).get(key)}"
            print(f"- {where}: {key} {values}: {one.reason or 'NOT EXPLAINED'}")
    bench.save(arguments.json, same=len(compared) - len(unlike), plans=len(compared), rows=body)
    if any(not one.reason for one in unlike):
        sys.exit(1)


if __name__ == "__main__":
    main()
