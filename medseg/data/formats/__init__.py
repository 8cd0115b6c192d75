"""Data formats: a folder becomes typed cases. No voxels are read, nothing heavy is imported.

``read(root)`` recognises the layout by itself; each layout is described in its own module:
`decathlon`, `nnunet`, `brats`, `folders`, `datalist`, `echonet`, and where objects are listed
`nndetection`, `voc`, `coco`, `luna16`, `lidc`, `boxlist`. `presets` says what label values mean.
"""

from medseg.data.formats import presets
from medseg.data.formats.grouping import group
from medseg.data.formats.layout import Recognition
from medseg.data.formats.options import FormatOptions
from medseg.data.formats.registry import FORMATS, lists_objects, read, recognise

__all__ = [
    "FORMATS",
    "FormatOptions",
    "Recognition",
    "group",
    "lists_objects",
    "presets",
    "read",
    "recognise",
]
