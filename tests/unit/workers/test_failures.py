"""What an exception of a library means to people."""

from pathlib import Path

import pytest
import torch

from kargah.workers import failures

#: As torch says it.
CUDA = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.50 GiB is free. Including "
    "non-PyTorch memory, this process has 77.59 GiB memory in use."
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (torch.OutOfMemoryError(CUDA), "GPU_OUT_OF_MEMORY"),
        (RuntimeError("CUDA error: out of memory"), "GPU_OUT_OF_MEMORY"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried …"), "OUT_OF_MEMORY"),
        (MemoryError(), "OUT_OF_MEMORY"),
    ],
)
def test_out_of_memory_is_told_by_where_it_ran_out_and_is_mended_alike(error: Exception, code: str, tmp_path: Path) -> None:
    assert failures.is_out_of_memory(error)
    assert failures.told(error, tmp_path)["code"] == code


def test_another_error_of_a_gpu_is_not_taken_for_a_lack_of_memory(tmp_path: Path) -> None:
    error = RuntimeError("CUDA error: device-side assert triggered")
    assert not failures.is_out_of_memory(error)
    assert failures.told(error, tmp_path)["code"] == "BUG"


def test_a_package_that_is_not_ours_is_told_by_its_name(tmp_path: Path) -> None:
    assert failures.told(ModuleNotFoundError("No module named 'sacremoses'", name="sacremoses.x"), tmp_path) == {
        "code": "PACKAGE_MISSING", "params": {"package": "sacremoses"}, "evidence": "ModuleNotFoundError: No module named 'sacremoses'",
    }  # fmt: skip
