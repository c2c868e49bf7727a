import pytest
import torch

from openmoon.device import compute_device
from openmoon.errors import UserError


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch):
    monkeypatch.delenv("OPENMOON_DEVICE", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)


def gpus(monkeypatch, count, usable=True):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: usable and count > 0)


def test_device_is_what_the_variable_names(monkeypatch):
    gpus(monkeypatch, 4)
    for name in ("cpu", "cuda:3"):
        monkeypatch.setenv("OPENMOON_DEVICE", name)
        assert compute_device() == torch.device(name)


def test_device_is_the_gpu_that_torch_can_use(monkeypatch):
    gpus(monkeypatch, 0)
    assert compute_device() == torch.device("cpu")
    gpus(monkeypatch, 2)
    assert compute_device() == torch.device("cuda", 0)
    gpus(monkeypatch, 2, usable=False)  # a driver that is too old for this build of torch
    assert compute_device() == torch.device("cpu")


@pytest.mark.parametrize(("rank", "number"), [("0", 0), ("1", 1), ("2", 0)])
def test_processes_of_torchrun_share_out_the_gpus(monkeypatch, rank, number):
    gpus(monkeypatch, 2)
    monkeypatch.setenv("LOCAL_RANK", rank)
    assert compute_device() == torch.device("cuda", number)


@pytest.mark.parametrize("name", ["gpu", "cuda:7", "cuda:257", "cuda:-1", "mps", "meta"])
def test_a_device_that_is_not_there_is_a_user_error(monkeypatch, name):
    gpus(monkeypatch, 2)
    monkeypatch.setenv("OPENMOON_DEVICE", name)
    with pytest.raises(UserError, match=f"OPENMOON_DEVICE: '{name}'"):
        compute_device()


def test_a_gpu_that_is_asked_for_is_not_replaced_by_the_cpu(monkeypatch):
    gpus(monkeypatch, 0)
    monkeypatch.setenv("OPENMOON_DEVICE", "cuda")
    with pytest.raises(UserError, match="can use 0 GPUs here"):
        compute_device()
