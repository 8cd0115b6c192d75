"""Recipe + plan -> objects: the only folder that knows both worlds.

Recipes stay above, plain Python arguments below; nothing here decides anything on its own.
"""

from medseg.build.anchors import too_large
from medseg.build.cascade import (
    first_folder,
    first_is_trained,
    first_overrides,
    guidance_of,
    input_channels,
    trains_first,
    use_of_guide,
)
from medseg.build.dataset import build_dataset, format_options, plain
from medseg.build.detector import painted_masks
from medseg.build.device import check_device
from medseg.build.feed import build_data
from medseg.build.network import network_arguments, plan_numbers
from medseg.build.plan import (
    build_plan,
    modalities,
    other_network,
    plan_overrides,
    preset,
    sized_by_clock,
)
from medseg.build.postprocessing import build_postprocessing
from medseg.build.task import build_network, build_task
from medseg.build.trainer import build_loggers, build_trainer, seed_everything
from medseg.build.transfer import check as check_transfer
from medseg.build.transfer import inheritance, plan_values, with_inherited
from medseg.build.transfer import start as start_transfer
from medseg.build.written import is_to_be_written

__all__ = [
    "build_data",
    "build_dataset",
    "build_loggers",
    "build_network",
    "build_plan",
    "build_postprocessing",
    "build_task",
    "build_trainer",
    "check_device",
    "check_transfer",
    "first_folder",
    "first_is_trained",
    "first_overrides",
    "format_options",
    "guidance_of",
    "inheritance",
    "input_channels",
    "is_to_be_written",
    "modalities",
    "network_arguments",
    "other_network",
    "painted_masks",
    "plain",
    "plan_numbers",
    "plan_overrides",
    "plan_values",
    "preset",
    "seed_everything",
    "sized_by_clock",
    "start_transfer",
    "too_large",
    "trains_first",
    "use_of_guide",
    "with_inherited",
]
