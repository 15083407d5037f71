import pytest

from int4_conformer.tflite.kernel_trial import KernelTrial, try_int4_kernel


def test_four_bits_meet_an_integer_kernel():
    found = try_int4_kernel()
    assert found.kernel.startswith("Fully Connected (NC, Q")
    assert found.is_integer
    assert 0 < found.milliseconds < 1000


@pytest.mark.parametrize("kernel", ["FULLY_CONNECTED", "none"])
def test_others_are_told(kernel):
    assert not KernelTrial(kernel=kernel, milliseconds=1.0).is_integer
