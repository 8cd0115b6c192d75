"""Fine-tuning: start from other weights, freeze parts, let stages learn at rates of their own."""

from medseg.networks.stages import Stages, stages_of
from medseg.training.transfer.freezing import freeze, thaw
from medseg.training.transfer.groups import decayed, parameter_groups
from medseg.training.transfer.loading import load_pretrained
from medseg.training.transfer.report import Report
from medseg.training.transfer.source import Source, read

__all__ = [
    "Report",
    "Source",
    "Stages",
    "decayed",
    "freeze",
    "load_pretrained",
    "parameter_groups",
    "read",
    "stages_of",
    "thaw",
]
