"""nnU-Net under a clock; run by the peers' interpreter, a stage at a time.

    python race_nnunet.py prepare|train|predict --work DIR …

Prints one line of JSON. The network, plan, augmentation, loss, optimiser and predictor are
nnU-Net's own. What is changed serves it: its polynomial schedule follows the elapsed fraction of
the clock, so that it is complete at the end however slow the machine is, and no time goes to its
validation patches. The clock starts when its loaders have delivered their first batch.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path

ID, NAME = 501, "Dataset501_Race"


def main() -> None:
    """Run a stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=["prepare", "train", "predict"])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--configuration", default="3d_fullres")
    parser.add_argument("--planner", default="ExperimentPlanner")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--budget", type=float, help="seconds (train)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=Path, help="folder of images (predict)")
    parser.add_argument("--output", type=Path, help="folder for masks (predict)")
    parser.add_argument("--mirror", action="store_true", help="average over mirrored images")
    args = parser.parse_args()
    # nnU-Net reads these when it is imported.
    settings = {name: args.work / name for name in ("raw", "preprocessed", "results")}
    settings["n_proc_DA"] = max(1, args.cores - (args.device == "cpu"))
    os.environ |= {f"nnUNet_{name}": str(value) for name, value in settings.items()}
    with contextlib.redirect_stdout(sys.stderr):
        result = {"prepare": prepare, "train": train, "predict": predict}[args.stage](args)
    print(json.dumps(result), flush=True)


def prepare(args: argparse.Namespace) -> dict:
    """Fingerprint, plan and preprocess."""
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api

    api.extract_fingerprints([ID], num_processes=args.cores, show_progress_bar=False)
    identifier = api.plan_experiments([ID], args.planner)
    api.preprocess(
        [ID],
        identifier,
        configurations=(args.configuration,),
        num_processes=[args.cores],
        show_progress_bar=False,
    )
    plans = json.loads((args.work / "preprocessed" / NAME / f"{identifier}.json").read_text())
    chosen = plans["configurations"][args.configuration]
    (args.work / "plans").write_text(identifier)
    return {"patch_size": chosen["patch_size"], "batch_size": chosen["batch_size"]}


def train(args: argparse.Namespace) -> dict:
    """Train on all cases until the time is up, and keep the last weights."""
    import numpy as np
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    class Timed(nnUNetTrainer):
        """Its own steps in a loop of ours."""

        def run_training(self) -> None:
            self.on_train_start()
            self.network.train()
            began, slowest, self.losses = time.monotonic(), 0.0, []
            while True:
                elapsed = time.monotonic() - began
                # Half a step over is taken for half a step under: the peer has the benefit.
                if self.losses and elapsed + slowest / 2 > args.budget:
                    break
                rate = self.initial_lr * (1 - min(elapsed / args.budget, 0.999)) ** 0.9
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                self.losses.append(float(self.train_step(next(self.dataloader_train))["loss"]))
                took = time.monotonic() - began - elapsed
                # Of the last few: the first step on a GPU chooses its kernels.
                slowest = max(took, 0.7 * slowest if len(self.losses) > 2 else 0.0)
            self.seconds = time.monotonic() - began
            self.on_train_end()

    # A checkpoint names its trainer, and prediction looks for it among nnU-Net's own.
    Timed.__name__ = nnUNetTrainer.__name__
    torch.manual_seed(args.seed)
    np.random.seed(args.seed)
    torch.set_num_threads(args.cores if args.device == "cpu" else 1)
    torch.backends.cudnn.benchmark = args.device == "cuda"
    identifier = (args.work / "plans").read_text()
    folder = args.work / "preprocessed" / NAME
    plans = json.loads((folder / f"{identifier}.json").read_text())
    plans["continue_training"] = False
    trainer = Timed(
        plans=plans,
        configuration=args.configuration,
        fold="all",
        dataset_json=json.loads((folder / "dataset.json").read_text()),
        device=torch.device(args.device),
    )
    trainer.run_training()
    return {
        "steps": len(trainer.losses),
        "clock": trainer.seconds,
        "first_loss": float(np.mean(trainer.losses[:5])),
        "last_loss": float(np.mean(trainer.losses[-5:])),
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
        "threads": torch.get_num_threads(),
        "folder": trainer.output_folder_base,
    }


def predict(args: argparse.Namespace) -> dict:
    """Segment a folder of images."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    torch.set_num_threads(args.cores if args.device == "cpu" else 1)
    predictor = nnUNetPredictor(
        use_mirroring=args.mirror, device=torch.device(args.device), allow_tqdm=False
    )
    (model,) = (args.work / "results" / NAME).iterdir()
    predictor.initialize_from_trained_model_folder(str(model), use_folds=("all",))
    workers = max(1, min(args.cores, 3))
    predictor.predict_from_files(
        str(args.images),
        str(args.output),
        num_processes_preprocessing=workers,
        num_processes_segmentation_export=workers,
    )
    return {"masks": len(list(args.output.glob("*.nii.gz")))}


if __name__ == "__main__":
    main()
