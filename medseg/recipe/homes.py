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
        "attention_unet": "medseg.networks:AttentionUNet",
        "unet_plus_plus": "medseg.networks:UNetPlusPlus",
        "segresnet": "medseg.networks:SegResNet",
        "swin_unetr": "medseg.networks:SwinUNETR",
        "unetr": "medseg.networks:UNETR",
        "mednext": "medseg.networks:MedNeXt",
        "highres_net": "medseg.networks:HighResNet",
        "deepmedic": "medseg.networks:DeepMedic",
        "retina_net": "medseg.networks.detection:RetinaNet",
        "retina_unet": "medseg.networks.detection:RetinaUNet",
        "centre_net": "medseg.networks.detection:CentreNet",
    },
    "loss": {
        "dice": "medseg.losses:DiceLoss",
        "ce": "medseg.losses:CrossEntropyLoss",
        "dice_ce": "medseg.losses:DiceCELoss",
        "bce": "medseg.losses:BinaryCrossEntropyLoss",
        "dice_bce": "medseg.losses:RegionLoss",
        "generalised_dice": "medseg.losses:GeneralisedDiceLoss",
        "tversky": "medseg.losses:TverskyLoss",
        "focal_tversky": "medseg.losses:FocalTverskyLoss",
        "focal": "medseg.losses:FocalLoss",
        "top_k": "medseg.losses:TopKLoss",
        "boundary": "medseg.losses:BoundaryLoss",
        "hausdorff": "medseg.losses:HausdorffLoss",
        "cl_dice": "medseg.losses:CLDiceLoss",
        "dice_focal": "medseg.losses:DiceFocalLoss",
        "dice_top_k": "medseg.losses:DiceTopKLoss",
        "dice_boundary": "medseg.losses:DiceBoundaryLoss",
        "dice_hausdorff": "medseg.losses:DiceHausdorffLoss",
        "dice_cl_dice": "medseg.losses:DiceCLDiceLoss",
        "retina": "medseg.losses:DetectionLoss",
        "centre_point": "medseg.losses:CentrePointLoss",
    },
    "optimizer": {
        "adamw": "torch.optim:AdamW",
        "adam": "torch.optim:Adam",
        "sgd": "torch.optim:SGD",
        "muon": "medseg.training.muon:Muon",
    },
    "schedule": {
        "cosine": "medseg.training.schedule:Cosine",
        "poly": "medseg.training.schedule:Poly",
        "constant": "medseg.training.schedule:Constant",
    },
    "augmentation": {
        "affine": "medseg.data.feed.augment:Affine",
        "elastic": "medseg.data.feed.augment:Elastic",
        "mirror": "medseg.data.feed.augment:Mirror",
        "quarter_turn": "medseg.data.feed.augment:QuarterTurn",
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

# A library holds more than a slot can use: function that names what it can.
FILTERS: Mapping[str, str] = {"monai.losses": "medseg.losses.from_monai:segmentation_losses"}

# What a class in a slot must be a subclass of; none: anything that can be called.
KINDS: Mapping[str, tuple[str, ...]] = {
    "network": ("torch.nn:Module",),
    "loss": ("torch.nn:Module",),
    "optimizer": ("torch.optim:Optimizer",),
    "schedule": (),
    "augmentation": (
        "medseg.data.feed.augment.transform:BatchTransform",
        "medseg.data.feed.augment.transform:LoaderTransform",
    ),
    "logger": ("pytorch_lightning.loggers:Logger",),
}

# Arguments that the data or the run decide, by slot and by component; a recipe cannot give them.
# `medseg.networks.wiring` holds the same names; a test compares.
WIRED: Mapping[str, frozenset[str]] = {
    "network": frozenset(
        {
            *("spatial_dims", "dimensions", "ndim"),
            *("in_channels", "in_chans", "input_channels", "n_channels", "num_channels"),
            *("num_classes", "out_channels", "n_classes", "out_chans", "output_channels"),
            *("img_size", "image_size", "input_size", "input_shape"),
        }
    ),
    "loss": frozenset(),
    "optimizer": frozenset({"params"}),
    "schedule": frozenset(),
    "augmentation": frozenset(),
    "logger": frozenset(),
}
_OURS_WIRED = frozenset({"features", "strides", "kernels"})
_MONAI_WIRED = frozenset({"channels", "strides", "kernel_size", "up_kernel_size"})
# Losses of ours that take classes as well as regions, and those that measure distances.
_EITHER_WIRED = frozenset({"regions"})
_DISTANCE_WIRED = frozenset({"regions", "spacing"})
WIRED_BY_NAME: Mapping[str, frozenset[str]] = {
    "unet": _OURS_WIRED,
    "residual_unet": _OURS_WIRED,
    "dilated_unet": _OURS_WIRED,
    "attention_unet": _OURS_WIRED,
    "unet_plus_plus": _OURS_WIRED,
    "deepmedic": frozenset({"kernel"}),
    "retina_net": _OURS_WIRED | {"levels", "num_anchors"},
    "retina_unet": _OURS_WIRED | {"levels", "num_anchors", "segmentation_classes"},
    "centre_net": _OURS_WIRED | {"level"},
    "retina": frozenset({"anchors", "segmentation"}),
    "centre_point": frozenset({"stride"}),
    "dice": _EITHER_WIRED,
    "generalised_dice": _EITHER_WIRED,
    "tversky": _EITHER_WIRED,
    "focal_tversky": _EITHER_WIRED,
    "focal": _EITHER_WIRED,
    "top_k": _EITHER_WIRED,
    "boundary": _DISTANCE_WIRED,
    "hausdorff": _DISTANCE_WIRED,
    "cl_dice": _EITHER_WIRED,
    "dice_focal": _EITHER_WIRED,
    "dice_top_k": _EITHER_WIRED,
    "dice_boundary": _DISTANCE_WIRED,
    "dice_hausdorff": _DISTANCE_WIRED,
    "dice_cl_dice": _EITHER_WIRED,
    "monai.UNet": _MONAI_WIRED,
    "monai.AttentionUnet": _MONAI_WIRED,
    "monai.DynUNet": frozenset({"kernel_size", "strides", "upsample_kernel_size", "filters"}),
    "monai.VNet": frozenset({"dropout_dim"}),
}
# Any other network gets these from the plan if its constructor asks for them.
WIRED_IF_REQUIRED: Mapping[str, frozenset[str]] = {
    "network": frozenset({"patch_size", "features", "strides", "kernels"})
}

# Arguments that are filled in unless the recipe gives them; the signature's default does not count.
FILLED: Mapping[str, frozenset[str]] = {
    "loss": frozenset(
        {
            *("to_onehot_y", "sigmoid", "softmax", "use_softmax"),
            *("num_classes", "classes", "dim"),
        }
    ),
    "augmentation": frozenset({"keys", "spacing"}),
}

# What a plan calls the numbers that networks ask for under many names.
PLAN_KEYS: Mapping[str, str] = {
    "patch_size": "patch_size",
    "img_size": "patch_size",
    "image_size": "patch_size",
    "input_size": "patch_size",
    "input_shape": "patch_size",
    "roi_size": "patch_size",
    "spatial_dims": "spatial_dims",
    "dimensions": "spatial_dims",
    "ndim": "spatial_dims",
    "dropout_dim": "spatial_dims",
    "strides": "strides",
    "upsample_kernel_size": "strides",
    "kernel": "kernels",
    "kernels": "kernels",
    "kernel_size": "kernels",
    "up_kernel_size": "kernels",
    "features": "features",
    "channels": "features",
    "filters": "features",
    "batch_size": "batch_size",
    "spacing": "spacing",
}
