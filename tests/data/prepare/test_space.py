import pytest

from medseg.data.prepare.space import prepared_shape
from medseg.planning.fingerprint import CaseFingerprint
from medseg.planning.plan import Normalisation, PreprocessingPlan

CASE = CaseFingerprint(
    id="c",
    shape=(100, 60, 20),
    spacing=(1.0, 1.0, 5.0),
    orientation="RAS",
    cropped_shape=(50, 60, 10),
    image_dtype="int16",
    label_dtype="uint8",
    foreground=(None,),
    nonzero=(None,),
    label_voxels=(1, 1),
)


@pytest.mark.parametrize(
    ("orientation", "crop", "spacing", "shape"),
    [
        ("RAS", "none", (2.0, 1.0, 5.0), (50, 60, 20)),
        ("SAR", "none", (5.0, 1.0, 2.0), (20, 60, 50)),
        ("SAR", "nonzero", (5.0, 1.0, 2.0), (10, 60, 25)),
    ],
)
def test_a_prepared_shape_lies_on_the_plans_axes(orientation, crop, spacing, shape):
    plan = PreprocessingPlan(orientation, crop, spacing, (Normalisation(),))
    assert prepared_shape(CASE, plan) == shape
