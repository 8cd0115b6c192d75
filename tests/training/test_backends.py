import torch

from medseg.training.backends import fastest


def settings():
    return torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()


def test_cuda_is_let_go_for_a_while_and_other_devices_are_left_alone():
    before = settings()
    with fastest(torch.device("cuda")):
        assert settings() == (True, "high")
    assert settings() == before
    with fastest(torch.device("cpu")):
        assert settings() == before
