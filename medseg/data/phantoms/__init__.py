"""Phantoms: data sets made from a seed, so that nothing has to be downloaded to try anything.

- ``mr``: a Decathlon folder with one MR channel and two touching structures, ``head`` and ``tail``;
- ``brats``: four modalities and nested tumour regions in BraTS folders (naming of 2021 or 2023);
- ``cells``: 2D grey pictures with masks of 0 and 255 in plain folders;
- ``nodules``: CT-like lungs in a Decathlon folder; each component of a mask is a nodule, among
  vessels that resemble them. LUNA16's table lists them beside the images.

The same seed gives the same files, byte for byte; case *k* does not depend on how many there are.
"""

from medseg.data.phantoms.brats import make_brats_case
from medseg.data.phantoms.cells import make_cells_case
from medseg.data.phantoms.mr import make_mr_case
from medseg.data.phantoms.nodules import make_nodules_case
from medseg.data.phantoms.writing import KINDS, ensure, write

__all__ = [
    "KINDS",
    "ensure",
    "make_brats_case",
    "make_cells_case",
    "make_mr_case",
    "make_nodules_case",
    "write",
]
