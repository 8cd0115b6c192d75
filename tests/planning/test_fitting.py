from medseg.networks.needs import NetworkNeeds
from medseg.planning.fitting import Load, loads

PATCH = (40, 56, 40)


def test_the_planned_load_comes_first():
    assert next(loads(PATCH, 7, step=(8, 8, 8))) == Load(PATCH, 7, 1)


def test_the_batch_gives_way_before_the_patch():
    found = list(loads(PATCH, 8, step=(8, 8, 8)))
    whole = [load for load in found if load.patch_size == PATCH]
    assert found[: len(whole)] == whole
    assert [load.batch_size for load in whole] == [8, 4, 3, 2, 1]


def test_accumulation_keeps_about_the_planned_number_of_patches_a_step():
    for batch in range(1, 25):
        for load in loads(PATCH, batch, step=(8, 8, 8), keep_patch=True):
            patches = load.batch_size * load.accumulate
            assert abs(patches - batch) <= load.batch_size / 2, (batch, load)


def test_patches_shrink_by_steps_along_the_axis_longest_relative_to_the_plan():
    patches = [load.patch_size for load in loads(PATCH, 1, step=(8, 8, 8))]
    assert patches[:4] == [(40, 56, 40), (40, 56, 32), (40, 48, 32), (32, 48, 32)]
    voxels = [a * b * c for a, b, c in patches]
    assert voxels == sorted(voxels, reverse=True)
    assert all(n % 8 == 0 and n > 0 for patch in patches for n in patch)


def test_no_patch_is_offered_that_the_network_cannot_take():
    needs = NetworkNeeds((8, 8, 8), (16, 16, 16), (8, 8, 8))
    for load in loads(PATCH, 1, step=needs.divisor, problem=needs.problem):
        assert needs.problem(load.patch_size) is None


def test_what_the_user_fixed_stays():
    assert list(loads(PATCH, 4, step=(8, 8, 8), keep_patch=True, keep_batch=True)) == [
        Load(PATCH, 4, 1)
    ]
    assert {x.batch_size for x in loads(PATCH, 4, step=(8, 8, 8), keep_batch=True)} == {4}
    assert {x.accumulate for x in loads(PATCH, 4, step=(8, 8, 8), keep_accumulate=True)} == {1}


def test_batches_and_patches_far_too_large_are_soon_small():
    batches = list(loads(PATCH, 10**20, step=(8, 8, 8), keep_patch=True))
    assert len(batches) < 200 and batches[-1] == Load(PATCH, 1, 10**20)
    patches = list(loads((8 * 10**6,) * 3, 1, step=(8, 8, 8)))
    assert len(patches) < 5000 and patches[-1].patch_size == (8, 8, 8)


def test_every_size_is_tried_of_a_batch_and_a_patch_of_usual_sizes():
    assert [load.batch_size for load in loads(PATCH, 6, step=(8, 8, 8), keep_patch=True)] == [
        6,
        3,
        2,
        1,
    ]
    sizes = {load.patch_size[0] for load in loads((512, 512), 1, step=(8, 8))}
    assert sizes == set(range(8, 513, 8))
