"""Recipe + plan -> objects: the only folder that knows both worlds.

Recipes stay above, plain Python arguments below; nothing here decides anything on its own.
"""

from medseg.build.dataset import build_dataset, format_options, plain
from medseg.build.feed import build_data
from medseg.build.plan import build_plan, plan_overrides, preset
from medseg.build.task import build_network, build_task
from medseg.build.trainer import build_loggers, build_trainer, seed_everything

__all__ = [
    "build_data",
    "build_dataset",
    "build_loggers",
    "build_network",
    "build_plan",
    "build_task",
    "build_trainer",
    "format_options",
    "plain",
    "plan_overrides",
    "preset",
    "seed_everything",
]
