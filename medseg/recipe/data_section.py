"""The part of a recipe that says where the images are, and what is in them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from medseg.recipe.section import Count, Section, Text


def _file_value(key: Any) -> Any:
    """Read a key that YAML gives as text: ``255``, or a colour ``0xff0000``."""
    if isinstance(key, str) and re.fullmatch(r"-?[0-9]+|0x[0-9a-fA-F]+", key):
        return int(key, 16 if key.startswith("0x") else 10)
    return key


FileValue = Annotated[int, BeforeValidator(_file_value)]


class Phantom(Section):
    """A synthetic data set, written on first use."""

    kind: Literal["mr", "brats", "cells", "nodules"] = Field(
        default="mr", description="Which phantom."
    )
    cases: Count = Field(default=24, description="How many cases.")
    seed: int = Field(default=0, description="The same seed writes the same voxels.")


class Data(Section):
    """Where the cases are and what their labels mean."""

    format: Literal[
        "auto",
        "decathlon",
        "brats",
        "nnunet",
        "nndetection",
        "voc",
        "coco",
        "luna16",
        "lidc",
        "boxlist",
        "folders",
        "datalist",
        "echonet",
        "phantom",
    ] = Field(
        default="auto",
        description="Layout of the data set; auto recognises it from the folder.",
    )
    root: Text | None = Field(
        default=None, description="The data set's folder, relative to the current folder."
    )
    channels: tuple[Text, ...] | dict[str, Text] | None = Field(
        default=None,
        min_length=1,
        description="Names of the image channels in order, or a mapping name: modality "
        "({CT: ct}); null takes them from the data set.",
    )
    modality: Literal["auto", "ct", "mr"] = Field(
        default="auto",
        description="What the channels show, where data.channels maps none: ct is clipped and "
        "scaled by the data set, mr image by image; auto goes by their names (CT). Channels named "
        "noNorm, rescale_to_0_1 or rgb_to_0_1 stay what they ask for.",
    )
    labels: Text | dict[str, int] | None = Field(
        default=None,
        min_length=1,
        description="Name of a preset (brats2021), or a mapping name: value as stored in the label "
        "files; the name ignore is for voxels that nobody labelled; null takes them from the data "
        "set.",
    )
    regions: bool | dict[str, tuple[int, ...]] | None = Field(
        default=None,
        description="Overlapping targets, a mapping name: values; true takes those of the preset.",
    )
    region_order: tuple[int, ...] | None = Field(
        default=None,
        description="The label value that decoding writes for each region, largest region first; "
        "null derives it.",
    )
    folds: Annotated[int, Field(ge=2)] = Field(
        default=5, description="Parts of the cross-validation."
    )
    fold: Annotated[int, Field(ge=0)] | Literal["all"] = Field(
        default=0,
        description="The part to validate on; all trains on every case and validates on none.",
    )
    splits: Text | None = Field(
        default=None, description="Your own split file (JSON); null makes one."
    )
    held_out: tuple[Text, ...] | None = Field(
        default=None,
        min_length=1,
        description="Ids of the cases that validate while all others train, instead of folds; * "
        "stands for any text, ? for one character.",
    )
    value_map: dict[FileValue, int] = Field(
        default={},
        description="Replaces values of the label files before anything else: {255: 1}, or by "
        "colour {0xff0000: 1}.",
    )
    empty_labels: bool = Field(
        default=False, description="Accept labels without any foreground, as in lesion screening."
    )
    images_folder: Text | None = Field(
        default=None, description="Folder of the images (format folders); null means images."
    )
    labels_folder: Text | None = Field(
        default=None, description="Folder of the labels (format folders); null means labels."
    )
    image_pattern: Text | None = Field(
        default=None,
        description="Name of an image file, {case} stands for the case: {case}_img.nii.gz; * for "
        "any text, {folder} for a folder that is part of the case's name, **/ at the beginning for "
        "any folders.",
    )
    label_pattern: Text | None = Field(default=None, description="Name of a label file, likewise.")
    group_pattern: Text | None = Field(
        default=None,
        description="Where the patient stands in a case's id ({group}_*); a patient's cases stay "
        "in one fold.",
    )
    datalist: Text | None = Field(
        default=None, description="CSV or JSON file that lists images and labels (format datalist)."
    )
    phantom: Phantom | None = Field(
        default=None, description="The synthetic data set that format phantom writes."
    )
    workers: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Processes that prepare and load, no more than there are cores; null chooses, "
        "for loading by trying.",
    )
    cache: Literal["auto", "ram", "disk", "device"] = Field(
        default="auto",
        description="Where prepared cases live while a network is trained: in memory, mapped from "
        "disk, or on the GPU as a whole; auto: on a GPU or else in memory, if they fill less than "
        "a quarter of what is free there.",
    )
