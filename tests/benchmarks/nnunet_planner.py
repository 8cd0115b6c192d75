"""Ask nnU-Net's own planner: data sets as numbers in, its plans out (run in the peers' Python).

    python nnunet_planner.py FINGERPRINTS.json

Nothing of nnU-Net's planning is replaced. Its networks are built without memory for their weights,
and each only once, since the planner only asks them how large their feature maps are.
"""

import contextlib
import functools
import io
import json
import os
import sys
import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp())
for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ[name] = str(folder / name)

import torch  # noqa: E402
from nnunetv2.experiment_planning.experiment_planners import (  # noqa: E402
    default_experiment_planner as plain,
)
from nnunetv2.experiment_planning.experiment_planners.residual_unets import (  # noqa: E402
    residual_encoder_unet_planners as residual,
)

PLANNERS = {
    "standard": plain.ExperimentPlanner,
    # As `nnUNetv2_plan_experiment -pl nnUNetPlannerResEncM -gpu_memory_target 4` has it.
    "resenc_s": functools.partial(residual.nnUNetPlannerResEncM, gpu_memory_target_in_gb=4),
    "resenc_m": residual.nnUNetPlannerResEncM,
    "resenc_l": residual.nnUNetPlannerResEncL,
    "resenc_xl": residual.nnUNetPlannerResEncXL,
}
SCHEMES = {"CTNormalization": "ct", "ZScoreNormalization": "zscore"}
_networks = {}


def network(in_channels, out_channels, name, arguments, imports):
    key = json.dumps([in_channels, out_channels, name, arguments], default=int)
    if key not in _networks:
        with torch.device("meta"):
            _networks[key] = plain.get_network_from_plans(
                name, arguments, imports, in_channels, out_channels, allow_init=False
            )
    return _networks[key]


def estimate(size, *built_from):
    return network(*built_from).compute_conv_feature_map_size(size)


def plans(row, planner):
    """Write the data set as nnU-Net wants it, and run one planner class on it."""
    name = "Dataset001_Numbers"
    raw, preprocessed = folder / "nnUNet_raw" / name, folder / "nnUNet_preprocessed" / name
    for path in (raw, preprocessed):
        path.mkdir(parents=True, exist_ok=True)
    dataset = {
        "channel_names": {str(i): c for i, c in enumerate(row["channels"])},
        "labels": {"background": 0, **{f"class {i}": i for i in range(1, row["classes"] + 1)}},
        "numTraining": len(row["shapes"]),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
        "dataset": {"case": {"images": ["case_0000.nii.gz"], "label": "case.nii.gz"}},
    }
    fingerprint = {
        "spacings": row["spacings"],
        "shapes_after_crop": row["shapes"],
        "median_relative_size_after_cropping": row["crop"],
        "foreground_intensity_properties_per_channel": {},
    }
    (raw / "dataset.json").write_text(json.dumps(dataset))
    (preprocessed / "dataset_fingerprint.json").write_text(json.dumps(fingerprint))
    for old in preprocessed.glob("*Plans.json"):
        old.unlink()  # else its configurations would be kept beside the new ones
    made = planner(name)
    made.static_estimate_VRAM_usage = estimate
    with contextlib.redirect_stdout(io.StringIO()):
        return made.plan_experiment()


def answer(configuration, row):
    """Take out what is compared."""
    built_from = configuration["architecture"]
    architecture = built_from["arch_kwargs"]
    planned = network(
        len(row["channels"]),
        row["classes"] + 1,
        built_from["network_class_name"],
        architecture,
        built_from["_kw_requires_import"],
    )
    return {
        "spacing": [float(s) for s in configuration["spacing"]],
        "patch_size": [int(n) for n in configuration["patch_size"]],
        "batch_size": int(configuration["batch_size"]),
        "strides": digits(architecture["strides"]),
        "kernels": digits(architecture["kernel_sizes"]),
        "features": [int(n) for n in architecture["features_per_stage"]],
        "parameters": sum(p.numel() for p in planned.parameters()),
        "batch_dice": bool(configuration["batch_dice"]),
        "normalisation": [
            SCHEMES[scheme] + (" in the mask" if masked else "")
            for scheme, masked in zip(
                configuration["normalization_schemes"],
                configuration["use_mask_for_norm"],
                strict=True,
            )
        ],
    }


def digits(stages):
    return " ".join("".join(str(int(n)) for n in stage) for stage in stages)


def main():
    answers = {}
    for row in json.loads(Path(sys.argv[1]).read_text()):
        answers[row["name"]] = found = {}
        for preset in row["presets"]:
            made = plans(row, PLANNERS[preset])["configurations"]
            names = [name for name in ("3d_fullres", "3d_lowres", "2d") if name in made]
            found[preset] = {name: answer(made[name], row) for name in names}
        _networks.clear()
        print(row["name"], file=sys.stderr, flush=True)
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
