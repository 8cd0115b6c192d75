"""Make one entry of the cache: read, preprocess, write; and make a damaged one anew."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from medseg.data.case import Case, LabelVolume, Volume
from medseg.data.prepare import entry as entries
from medseg.data.prepare.guides import read_guide
from medseg.data.prepare.moving_boxes import prepare_boxes
from medseg.data.prepare.objects import read_objects
from medseg.data.prepare.preprocess import preprocess
from medseg.data.prepare.reading import read_image, read_label
from medseg.data.prepare.row import Row
from medseg.data.prepare.sources import Sources, Stamp, unchanged
from medseg.data.prepare.store import Cache
from medseg.errors import InputError
from medseg.geometry.boxes import Boxes
from medseg.labels import LabelScheme
from medseg.objects import ObjectRule
from medseg.planning.guidance import Guidance
from medseg.planning.plan import PreprocessingPlan

# Raise it when preprocessing comes to give other numbers for the same plan, or files other names.
SCHEMA = 2


@dataclass(frozen=True)
class Maker:
    """What the entries of a data set are made by, and how to make one; it travels to workers."""

    cache: Cache
    plan: PreprocessingPlan
    labels: LabelScheme
    value_map: Mapping[int, int]
    channels: int
    guidance: Guidance | None = None
    objects: ObjectRule | None = None

    def settings(self) -> str:
        """Everything that decides the contents of an entry beside the case's files."""
        state: dict[str, Any] = {
            "schema": SCHEMA,
            "plan": asdict(self.plan),
            "labels": self.labels.to_dict(),
            "value_map": sorted((int(k), int(v)) for k, v in self.value_map.items()),
            "channels": self.channels,
        }
        if self.guidance is not None:
            state["guide"] = self.guidance.preparation()
        if self.objects is not None:
            state["objects"] = self.objects.to_dict()
        return json.dumps(state, sort_keys=True)

    def build(self, case: Case, key: str, stamps: Sequence[Stamp]) -> Row:
        """Read, preprocess and write a case.

        Raises:
            InputError: the files do not fit, changed since their ``stamps`` were taken, or the
                entry cannot be written.
        """
        unchanged(stamps)
        volume = read_image(case, channels=self.channels)
        label, boxes = self._annotated(case, volume)
        if self.guidance is not None:
            guide = read_guide(case, self.labels, like=volume.grid)
            volume = volume._replace(guide=guide)
        # Read from a file that is being written, the contents would not be those of the key.
        unchanged(stamps)
        prepared = preprocess(volume, self.plan, label, guidance=self.guidance)
        if boxes is not None:
            boxes = replace(boxes, corners=prepare_boxes(prepared.record, boxes.corners))
        del volume, label
        final = self.cache.root / self.cache.name(case.id, key)
        with self.cache.writing(final) as folder:
            state = entries.write(
                folder,
                case.id,
                prepared,
                classes=len(self.labels.values),
                boxes=boxes,
                extra={"key": key, "schema": SCHEMA},
            )
        return Row.of(final, state)

    def _annotated(self, case: Case, volume: Volume) -> tuple[LabelVolume, Boxes | None]:
        """Read the label indices, and the boxes of a case whose objects are to be found."""
        if self.objects is not None:
            found = read_objects(case, volume, self.objects, self.labels, value_map=self.value_map)
            return found.label, found.boxes
        if case.label is None:
            raise InputError("the case has no label", file=case.images[0])
        return read_label(case.label, self.labels, value_map=self.value_map, like=volume), None


@dataclass(frozen=True)
class Repair:
    """Makes single entries anew; what a damaged `LazyCase` calls."""

    maker: Maker
    cases: Mapping[str, Case]
    names: Mapping[str, str]
    sources: Sources

    def __call__(self, case_id: str) -> Row:
        """Remove an entry and make it again; raises as `Maker.build` does."""
        case, cache = self.cases[case_id], self.maker.cache
        try:
            key, stamps = key_of(case, self.maker.settings(), self.sources)
        except InputError as error:
            error.message = (
                f"case {case_id}: its cached files are damaged, and of its source {error.message}"
            )
            error.remedy = f"bring the source back; damaged is {cache.root / self.names[case_id]}"
            raise
        if cache.name(case_id, key) != self.names[case_id]:
            raise InputError(
                f"case {case_id}: its cached files are damaged, and its source changed meanwhile",
                file=case.images[0],
                expected="the files that this job began with",
                found="files with other contents",
                remedy="start over: what was made from the files is made anew",
            )
        cache.remove(self.names[case_id])
        return self.maker.build(case, key, stamps)


def key_of(case: Case, settings: str, sources: Sources) -> tuple[str, tuple[Stamp, ...]]:
    """Compute what names a case's entry, and how the files were that it was computed from."""
    masks = [mask for mask in (case.label, case.guide) if mask is not None]
    seen = [sources.look(file) for file in (*case.images, *masks)]
    parts = [case.id, settings, *(s.digest for s in seen)]
    if case.annotation is not None or case.instances is not None:
        drawn = case.annotation and replace(case.annotation, file=None)
        parts.append(repr((drawn, case.instances or ())))
    key = hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
    return key, tuple(stamp for s in seen for stamp in s.stamps)
