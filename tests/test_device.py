import pytest
import torch

from openmoon.device import compute_device
from openmoon.errors import UserError


def test_device_is_what_the_variable_names(monkeypatch):
    monkeypatch.setenv("OPENMOON_DEVICE", "cpu")
    assert compute_device() == torch.device("cpu")


def test_device_is_the_gpu_that_torch_sees(monkeypatch):
    monkeypatch.delenv("OPENMOON_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert compute_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert compute_device() == torch.device("cuda", 0)


@pytest.mark.parametrize(("rank", "number"), [("0", 0), ("1", 1), ("2", 0)])
def test_processes_of_torchrun_share_out_the_gpus(monkeypatch, rank, number):
    monkeypatch.delenv("OPENMOON_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", rank)
    assert compute_device() == torch.device("cuda", number)


@pytest.mark.parametrize("name", ["gpu", "cuda:7", "cuda", "mps", "meta"])
def test_a_device_that_is_not_there_is_a_user_error(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setenv("OPENMOON_DEVICE", name)
    with pytest.raises(UserError, match=f"OPENMOON_DEVICE: '{name}'"):
        compute_device()
