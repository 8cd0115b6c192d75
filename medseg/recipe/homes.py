"""Where components live: the one place to name a new one of ours.

After a change run ``python -m medseg.recipe.table`` and ``python -m medseg.recipe.schema_json``.
"""

from __future__ import annotations

from collections.abc import Mapping

# slot -> short name -> module:attribute
OURS: Mapping[str, Mapping[str, str]] = {
    "network": {
        "unet": "medseg.networks:UNet",
        "residual_unet": "medseg.networks:ResidualUNet",
        "dilated_unet": "medseg.networks:DilatedUNet",
    },
    "loss": {
        "dice": "medseg.losses:DiceLoss",
        "ce": "medseg.losses:CrossEntropyLoss",
        "dice_ce": "medseg.losses:DiceCELoss",
        "dice_bce": "medseg.losses:RegionLoss",
    },
    "optimizer": {
        "adamw": "torch.optim:AdamW",
        "adam": "torch.optim:Adam",
        "sgd": "torch.optim:SGD",
    },
    "schedule": {
        "cosine": "medseg.training.schedule:Cosine",
        "poly": "medseg.training.schedule:Poly",
        "constant": "medseg.training.schedule:Constant",
    },
    "augmentation": {
        "affine": "medseg.data.feed.augment:Affine",
        "mirror": "medseg.data.feed.augment:Mirror",
        "gamma": "medseg.data.feed.augment:Gamma",
        "brightness": "medseg.data.feed.augment:Brightness",
        "contrast": "medseg.data.feed.augment:Contrast",
        "noise": "medseg.data.feed.augment:GaussianNoise",
        "blur": "medseg.data.feed.augment:GaussianBlur",
        "low_resolution": "medseg.data.feed.augment:LowResolution",
    },
    "logger": {
        "csv": "medseg.tracking:csv",
        "tensorboard": "medseg.tracking:tensorboard",
        "wandb": "medseg.tracking:wandb",
    },
}

# slot -> prefix -> module whose classes it names
LIBRARIES: Mapping[str, Mapping[str, str]] = {
    "network": {"monai": "monai.networks.nets"},
    "loss": {"monai": "monai.losses"},
    "optimizer": {"torch": "torch.optim"},
    "schedule": {},
    "augmentation": {"monai": "monai.transforms", "torchio": "torchio.transforms"},
    "logger": {},
}

# What a class in a slot must be; an empty text: anything that can be called.
KINDS: Mapping[str, tuple[str, ...]] = {
    "network": ("torch.nn:Module",),
    "loss": ("torch.nn:Module",),
    "optimizer": ("torch.optim:Optimizer",),
    "schedule": (),
    "augmentation": (),
    "logger": ("pytorch_lightning.loggers:Logger",),
}

# Arguments that the data or the run decide, by slot; a recipe cannot give them.
WIRED: Mapping[str, frozenset[str]] = {
    "network": frozenset(
        "spatial_dims dimensions in_channels out_channels num_classes n_classes img_size".split()
    ),
    "loss": frozenset({"spatial_dims", "num_classes"}),
    "optimizer": frozenset({"params"}),
    "schedule": frozenset({"progress", "optimizer"}),
    "augmentation": frozenset({"keys", "spatial_dims", "patch_size"}),
    "logger": frozenset({"run_dir", "save_dir", "recipe", "plan", "name", "resume", "config"}),
}

# … and by network, beside those.
_OURS_WIRED = frozenset({"features", "strides", "kernels"})
WIRED_BY_NAME: Mapping[str, frozenset[str]] = {
    "unet": _OURS_WIRED,
    "residual_unet": _OURS_WIRED,
    "dilated_unet": _OURS_WIRED,
    "monai.UNet": frozenset({"channels", "strides"}),
    "monai.AttentionUnet": frozenset({"channels", "strides"}),
    "monai.DynUNet": frozenset({"kernel_size", "strides", "upsample_kernel_size", "filters"}),
    "monai.SegResNetVAE": frozenset({"input_image_size"}),
    "monai.ViT": frozenset({"patch_size"}),
}

# Words of other projects and of MONAI for what a plan calls otherwise.
PLAN_KEYS: Mapping[str, str] = {
    "patch_size": "patch_size",
    "img_size": "patch_size",
    "roi_size": "patch_size",
    "input_image_size": "patch_size",
    "spatial_dims": "spatial_dims",
    "dimensions": "spatial_dims",
    "strides": "strides",
    "upsample_kernel_size": "strides",
    "kernels": "kernels",
    "kernel_size": "kernels",
    "features": "features",
    "channels": "features",
    "filters": "features",
    "batch_size": "batch_size",
    "spacing": "spacing",
}
DATA_KEYS: Mapping[str, str] = {
    "in_channels": "data.channels",
    "num_classes": "data.labels",
    "n_classes": "data.labels",
    "out_channels": "data.labels",
}
