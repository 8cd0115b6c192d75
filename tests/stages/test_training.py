"""What a training that ran out of memory advises."""

from dataclasses import replace

import pytest
import torch

from medseg.planning.plan import Normalisation, Plan, PreprocessingPlan
from medseg.stages import training

PLAN = Plan(
    preprocessing=PreprocessingPlan("RAS", "none", (1.0, 1.0, 1.0), (Normalisation("none"),)),
    patch_size=(16, 16, 16),
    batch_size=4,
    strides=((1, 1, 1),),
    kernels=((3, 3, 3),),
    features=(4,),
)


@pytest.mark.parametrize(("batch", "smaller"), [(4, "plan.batch_size=2"), (1, "plan.patch_size")])
def test_a_full_gpu_is_told_to_take_less_and_to_keep_the_cases_elsewhere(batch, smaller):
    said = str(training._too_large(replace(PLAN, batch_size=batch), torch.device("cuda", 0)))
    assert smaller in said and "data.cache=ram" in said
