"""``detection.yaml`` as it is written: each value with what it brought."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from medseg.inference.detection.choosing import Choice, Trial
from medseg.inference.detection.keep_file import (
    CHOSEN,
    CLASSES,
    GAINS,
    NETWORKS,
    KeepFile,
    step_key,
)
from medseg.inference.detection.keeping import KeepRule

_HEADER = """\
# Which of the boxes that the networks find are kept. Edit it, and your edits are kept; delete the
# file, and all are.
"""
_FOOTER = """\

# The lines below remember what was chosen, so that edits are known as edits, what each value
# brought, for which classes it was chosen, and by boxes of which weights.
"""
_MEANING = {
    "nms": "IoU with a surer box of its class above which a box goes",
    "min_size": "mm, below which a box goes",
    "score": "from which a box counts as found",
}
# In a class's name these would end a comment: to YAML they are line breaks.
_BREAKS = str.maketrans({"\x85": r"\u0085", "\u2028": r"\u2028", "\u2029": r"\u2029"})


def to_text(
    choice: Choice,
    classes: Sequence[str],
    *,
    cases: str,
    networks: Mapping[str, str] | None = None,
) -> str:
    """Write what was chosen, and why.

    Args:
        choice: of `medseg.inference.detection.choosing.choose`.
        classes: all names.
        cases: on what, in words: ``208 held-out cases of 5 folds``.
        networks: whose boxes these are: fold -> digest of its network's weights.
    """
    lines = [
        f"# Chosen by {cases}. Gains are measured on the very cases that chose: they are a little",
        "# optimistic.",
        "detection:",
        *_values(choice),
    ]
    left_out = [trial for trial in choice.trials if not trial.kept and trial.value is not None]
    if left_out:
        lines += ["", "# Tried and left out:"]
        lines += [
            f"#   {step_key(trial.step, trial.of)} {trial.value:g}  # {reason(trial, choice)}"
            for trial in left_out
        ]
    gains = {step_key(trial.step, trial.of): reason(trial, choice) for trial in choice.kept}
    record = [
        CHOSEN + json.dumps(choice.rule.to_dict(), ensure_ascii=False),
        GAINS + json.dumps(gains, ensure_ascii=False),
        CLASSES + json.dumps(list(classes), ensure_ascii=False),
    ]
    if networks:
        record.append(NETWORKS + json.dumps(networks))
    text = _HEADER + "\n".join(lines) + "\n" + _FOOTER + "\n".join(record) + "\n"
    return text.translate(_BREAKS)


def reason(trial: Trial, choice: Choice) -> str:
    """Say what a step brought; of a score also what is found with it."""
    said = f"{trial.measure} {trial.before:.4f} -> {trial.after:.4f}"
    if trial.step != "score":
        return said
    at = choice.operating[trial.of]
    return f"{said}; finds {at.sensitivity:.1%} with {at.fps:.3g} false positives a case"


def summary(found: KeepFile) -> list[str]:
    """Say of each value of a file what it brought where it was chosen, in a line."""
    told = [
        f"{step_key(step, of)} {value:g}: {_gain(found, step, of, value)}"
        for step, of, value in _steps(found.rule)
    ]
    return told or [
        "all boxes are kept" + ("" if found.edited else ": no step that was tried gains")
    ]


def _gain(found: KeepFile, step: str, of: str, value: float) -> str:
    known = found.chosen is not None and (step, of, value) in list(_steps(found.chosen))
    by_hand = "written by hand, what it brings was not measured"
    return found.gains.get(step_key(step, of), by_hand) if known else by_hand


def _steps(rule: KeepRule) -> Iterator[tuple[str, str, float]]:
    """Yield step, class and value, in the order in which they are taken."""
    if rule.nms is not None:
        yield "nms", "", rule.nms
    for step in ("min_size", "score"):
        for of, value in getattr(rule, step).items():
            yield step, of, value


def _values(choice: Choice) -> Iterator[str]:
    """Yield the lines of the rule, a value a line; JSON is YAML, whatever a class is called."""
    why = {(trial.step, trial.of): reason(trial, choice) for trial in choice.kept}
    nms = choice.rule.nms
    said = "" if nms is None else f"; {why['nms', '']}"
    yield f"  nms: {json.dumps(nms)}  # {_MEANING['nms']}{said}"
    for step in ("min_size", "score"):
        values = getattr(choice.rule, step)
        yield f"  {step}:{'' if values else ' {}'}  # {_MEANING[step]}"
        for of, value in values.items():
            yield f"    {json.dumps(of, ensure_ascii=False)}: {value!r}  # {why[step, of]}"
