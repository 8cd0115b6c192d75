"""``postprocessing.yaml`` as it is written: a recipe's fragment, each step with what it brought."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from medseg.inference.postprocess.choosing import Trial, differences, mean
from medseg.inference.postprocess.file import (
    CHOSEN,
    GAINS,
    LABELS,
    NETWORKS,
    PostprocessingFile,
    meaning,
)
from medseg.inference.postprocess.steps import MaskStep
from medseg.labels import LabelScheme

_HEADER = """\
# What is done to masks once they are decoded, in this order. A fragment of a recipe: edit it, and
# your edits are kept; delete the file, and nothing is done.
"""
_FOOTER = """\

# The lines below remember what was chosen, so that edits are known as edits, what each step
# brought, for which labels it was chosen, and by masks of which weights.
"""
# In a class's name these would end a comment: to YAML they are line breaks.
_BREAKS = str.maketrans({"\x85": r"\u0085", "\u2028": r"\u2028", "\u2029": r"\u2029"})
# A class that changes by less is not named, and a step by which none changes more is not listed.
_VISIBLE = 5e-5


def to_text(
    trials: Sequence[Trial],
    scheme: LabelScheme,
    *,
    cases: str,
    networks: Mapping[str, str] | None = None,
) -> str:
    """Write what was chosen, and why.

    Args:
        trials: what was tried.
        scheme: the labels that it was tried for.
        cases: on what, in words: ``208 held-out cases of 5 folds``.
        networks: whose masks these are: fold -> digest of its network's weights, where a run keeps
            the file.
    """
    kept = [trial for trial in trials if trial.kept]
    lines = [
        f"# Chosen by the Dice of {cases}: kept is a step by which a class gains and none",
        "# loses. Gains are measured on the very cases that chose: they are a little optimistic.",
        "inference:",
    ]
    if kept:
        lines.append("  postprocessing:")
        lines += [f"    - {_written(trial.step)}  # {reason(trial)}" for trial in kept]
    else:
        before = f"{mean(trials[0].before):.4f}" if trials else "–"
        lines.append(f"  postprocessing: []  # nothing that was tried improves mean Dice {before}")
    left_out = [trial for trial in trials if not trial.kept]
    visible = [trial for trial in left_out if _changes(trial)]
    if left_out:
        lines += ["", "# Tried and left out:"]
        lines += [f"#   {_written(trial.step)}  # {reason(trial)}" for trial in visible]
        unseen = len(left_out) - len(visible)
        lines += [f"#   {unseen} by which no class changes in four digits"] if unseen else []
    record = [
        CHOSEN + json.dumps([trial.step.to_dict() for trial in kept], ensure_ascii=False),
        GAINS + json.dumps([reason(trial) for trial in kept], ensure_ascii=False),
        LABELS + json.dumps(meaning(scheme.to_dict()), ensure_ascii=False),
    ]
    if networks:
        record.append(NETWORKS + json.dumps(networks))
    text = _HEADER + "\n".join(lines) + "\n" + _FOOTER + "\n".join(record) + "\n"
    return text.translate(_BREAKS)


def summary(found: PostprocessingFile) -> list[str]:
    """Say of each step of a file what it brought where it was chosen, in a line."""
    if not found.steps:
        return ["nothing" + ("" if found.edited else ": no step that was tried improves the Dice")]
    known = dict(zip(found.chosen or (), found.gains, strict=False))
    return [
        f"{step}: {known.get(step, 'written by hand, what it brings was not measured')}"
        for step in found.steps
    ]


def reason(trial: Trial) -> str:
    """Say what a step brought: the mean Dice, and the classes that changed."""
    before, after = mean(trial.before), mean(trial.after)
    changes = ", ".join(f"{name} {value:+.4f}" for name, value in _changes(trial).items())
    return f"mean Dice {before:.4f} -> {after:.4f}" + (f"; {changes}" if changes else "")


def _changes(trial: Trial) -> dict[str, float]:
    found = differences(trial.before, trial.after)
    return {name: value for name, value in found.items() if abs(value) >= _VISIBLE}


def _written(step: MaskStep) -> str:
    # JSON is YAML, whatever characters a class has in its name.
    return json.dumps(step.to_dict(), ensure_ascii=False)
