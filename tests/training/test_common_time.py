from medseg import ranks
from medseg.training.common_time import CommonTime


class Time:
    seconds = 5.0

    def __call__(self):
        return self.seconds


def test_alone_it_is_the_clock_itself():
    own = Time()
    time = CommonTime(own)
    time.meet()
    own.seconds = 7.0
    assert time() == 7.0


def test_with_others_it_is_the_first_one_s_and_stands_still_until_they_meet_again(monkeypatch):
    own = Time()
    time = CommonTime(own)
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    monkeypatch.setattr(ranks, "first_number", lambda value: 100.0 + value)
    time.meet()
    own.seconds = 9.0
    assert time() == 105.0
    time.meet()
    assert time() == 109.0
