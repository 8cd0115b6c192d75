import pytest
import torch

from medseg.errors import InputError
from medseg.training.finite import FiniteWatch


class Event:
    """Comes when it is let, as on a GPU that is some steps behind."""

    def __init__(self):
        self.come = False

    def query(self):
        return self.come

    def synchronize(self):
        self.come = True


@pytest.fixture
def late(monkeypatch):
    events = []

    def copy(self, loss):
        assert loss.shape == ()  # the place that it is copied to has no axes
        events.append(Event())
        return loss, events[-1]

    monkeypatch.setattr(FiniteWatch, "_copy", copy)
    return events


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_on_a_cpu_a_non_finite_loss_is_found_at_once_with_its_cases(value):
    watch = FiniteWatch()
    watch.watch(torch.tensor(1.0), cases=["a"], step=0)
    with pytest.raises(InputError, match=r"at step 1(.|\n)*b, c"):
        watch.watch(torch.tensor(float(value)), cases=["b", "c"], step=1)


def test_a_device_that_is_behind_is_not_waited_for_and_the_right_batch_is_named(late):
    watch = FiniteWatch()
    for step, loss in enumerate([1.0, float("nan"), 2.0]):
        watch.watch(torch.tensor(loss), cases=[f"case_{step}"], step=step)
    assert not any(event.come for event in late)
    late[0].come = late[1].come = True
    with pytest.raises(InputError, match=r"step 1(.|\n)*case_1"):
        watch.watch(torch.tensor(2.0), cases=["case_3"], step=3)


def test_a_loss_of_one_element_is_as_good_as_a_number(late):
    watch = FiniteWatch()
    watch.watch(torch.tensor([1.0], requires_grad=True), cases=[], step=0)
    watch.settle()


def test_settling_waits_for_all_so_that_no_ruined_weights_are_kept(late):
    watch = FiniteWatch()
    watch.watch(torch.tensor(1.0), cases=[], step=0)
    watch.watch(torch.tensor(float("inf")), cases=["x"], step=1)
    with pytest.raises(InputError, match="x"):
        watch.settle()
    watch.settle()  # nothing is left


def test_not_more_than_a_few_steps_are_outstanding(late):
    watch = FiniteWatch()
    for step in range(200):
        watch.watch(torch.tensor(1.0), cases=[], step=step)
    assert len(watch._pending) <= 65
