"""The other parts of a recipe: which keys there are, what they take, and their defaults."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from medseg.recipe.durations import Interval, Seconds
from medseg.recipe.section import Count, Fraction, Millimetres, PerAxis, PerStage, Section, Text


class Normalisation(Section):
    """How one channel's intensities are scaled."""

    scheme: Literal["ct", "zscore", "minmax", "none"] = Field(
        default="zscore",
        description="ct clips and scales by the data set, zscore by the image's mean, minmax by "
        "its range.",
    )
    masked: bool = Field(default=False, description="z-score over the non-zero voxels only.")
    lower: float = Field(default=0.0, description="Lower clip in the image's units (ct).")
    upper: float = Field(default=0.0, description="Upper clip (ct).")
    mean: float = Field(default=0.0, description="Mean that is subtracted (ct).")
    std: float = Field(default=1.0, gt=0, description="Standard deviation that divides (ct).")


Scheme = Literal["ct", "zscore", "minmax", "none"]


class PlanKeys(Section):
    """What replaces a value of the plan; null leaves it to the data."""

    spacing: Millimetres | tuple[Millimetres, ...] | None = Field(
        default=None, description="Target in mm, one number or one per axis."
    )
    orientation: Text | None = Field(default=None, description="Axis codes of the arrays: RAS.")
    crop: Literal["nonzero", "none"] | None = Field(
        default=None, description="Crop to the box of non-zero voxels, or not."
    )
    normalisation: Scheme | Normalisation | tuple[Scheme | Normalisation, ...] | None = Field(
        default=None, description="For every channel, or one entry per channel."
    )
    patch_size: Count | PerAxis | None = Field(
        default=None, description="Voxels of a training patch, one number or one per axis."
    )
    batch_size: Count | None = Field(default=None, description="Patches per training step.")
    strides: PerStage | None = Field(
        default=None, description="Per stage of the network, per axis; the first stage is all ones."
    )
    kernels: PerStage | None = Field(default=None, description="Kernel sizes per stage, per axis.")
    features: Annotated[tuple[Count, ...], Field(min_length=1)] | None = Field(
        default=None, description="Channels per stage."
    )
    levels: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] | None = Field(
        default=None,
        description="With task detection: stages of the network, counted from 0, at whose "
        "resolution objects are looked for.",
    )
    batch_dice: bool | None = Field(
        default=None,
        description="Dice over all patches of a step at once, where loss.batch leaves it open.",
    )
    configuration: Literal["auto", "3d_fullres", "3d_lowres", "2d"] = Field(
        default="auto",
        description="Volumes at the data's spacing, at a coarser one (large volumes only), or "
        "slice by slice; auto: 3d_fullres, for pictures 2d.",
    )
    neighbours: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="With configuration 2d: how many slices on either side of each the network "
        "sees as channels (2.5D); null: none.",
    )
    preset: Literal["auto", "standard", "fast", "resenc_s", "resenc_m", "resenc_l", "resenc_xl"] = (
        Field(
            default="auto",
            description="standard plans for a GPU of 8 GB and hours, resenc_s, _m, _l and _xl a "
            "residual U-Net for 4, 8, 24 and 40 GB, fast for a CPU and minutes; auto: fast for "
            "an hour or 5000 steps at most, else standard.",
        )
    )


class EarlyStopping(Section):
    """Ends a training that no longer improves."""

    patience: Count = Field(default=10, description="Validations without improvement.")
    min_delta: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="Gain in the score (mean Dice; of boxes mAP) that counts as improvement.",
    )


Precision = Annotated[
    Literal["auto", "32", "16-mixed", "bf16-mixed", "64"],
    BeforeValidator(lambda value: str(value) if value in (32, 64) else value),
]


Switch = bool | Literal["auto"]


class Trainer(Section):
    """How long and with what the network is trained. One of budget, steps, epochs."""

    budget: Seconds | None = Field(
        default=None,
        description="Time to train: 15m, 1h30m, 90s or seconds; 15m if nothing is given.",
    )
    steps: Count | None = Field(default=None, description="Optimiser steps to train.")
    epochs: Count | None = Field(default=None, description="Epochs to train.")
    steps_per_epoch: Count | None = Field(
        default=None, description="Batches of an epoch; null: as many as show each case once."
    )
    validate_every: Interval | None = Field(
        default=None,
        description="Steps (50) or time (2m) between validations; null: ten in all, or under a "
        "budget at most every fifth of it, as long as they cost less than a tenth.",
    )
    validation_cases: Count | None = Field(
        default=None,
        description="How many of the held-out cases the validations look at, evenly spread; null: "
        "all. Predictions and metrics.json are of all, whatever it says.",
    )
    checkpoint_every: Interval | None = Field(
        default=None,
        description="Steps or time between writes of last.ckpt; null: 5m, and validations.",
    )
    precision: Precision = Field(
        default="auto",
        description="auto: bf16-mixed where the device computes in it, on a CPU only if it is "
        "faster; else 32.",
    )
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = Field(
        default="auto", description="Device to train on."
    )
    devices: Count | Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (
        Field(
            default=1,
            description="How many GPUs (accelerator cpu: processes), or their numbers in a list: "
            "[2]. They share the plan's batch.",
        )
    )
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=0.999, description="Decay of the averaged weights; null: no averaging."
    )
    gradient_clip: Annotated[float, Field(gt=0)] | None = Field(
        default=12.0, description="Largest norm of the gradient; null: no clipping."
    )
    accumulate: Count = Field(default=1, description="Batches whose gradients make one step.")
    early_stopping: EarlyStopping | None = Field(default=None, description="null: never.")
    compile: Switch = Field(
        default="auto",
        description="Compile the network with torch.compile; auto: on CUDA, where at least ten "
        "minutes of training are left, if a step gets faster.",
    )
    channels_last: Switch = Field(
        default="auto",
        description="Channels innermost in memory; auto: on CUDA if a step gets faster.",
    )


class PostprocessingStep(Section):
    """One step that cleans masks."""

    name: Literal["largest_component", "remove_small", "fill_holes"] = Field(
        description="Keep the largest component, drop those below min_size, or fill what is "
        "enclosed."
    )
    of: Text = Field(
        default="foreground", description="A class or region; foreground: all of them together."
    )
    min_size: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="Of remove_small: in mm³, of pictures in mm²."
    )


class Inference(Section):
    """How whole volumes are predicted."""

    overlap: Fraction = Field(default=0.5, description="Overlap of neighbouring windows.")
    mirror: bool | Literal["auto"] = Field(
        default="auto",
        description="Average over mirrored images, too: true along the axes that training mirrors, "
        "auto along left–right if it does. Each axis doubles the time.",
    )
    affine: Literal["none", "small"] = Field(
        default="none",
        description="Average over turned and zoomed images, too: small is ±7° in plane and 0.94 "
        "and 1.06 in size, five times the time.",
    )
    postprocessing: Literal["auto", "none"] | tuple[PostprocessingStep, ...] = Field(
        default="auto",
        description="What is done to masks: auto what cross-validation chose "
        "(postprocessing.yaml in the run, if there is one), none, or a list of steps in order. "
        "Which boxes are kept: auto (detection.yaml) or none.",
    )
    batch_size: Count | None = Field(
        default=None, description="Windows at once; null: the plan's batch on a GPU, 1 on a CPU."
    )


class Evaluation(Section):
    """How predictions are scored."""

    empty: Literal["skip", "one"] = Field(
        default="skip",
        description="Prediction and reference both empty: leave the case out, or count 1.",
    )
