"""The compiled sums: right for every shape and layout, on the CPU and elsewhere."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnbook import _kernels, repro


def expected(rows):
    """Return what ``add_relu_moments`` adds, side by side, by NumPy in double precision."""
    z = rows.double().numpy()
    a = np.where(z <= 0, 0, z)
    powers = (z, z**2, a, a**2, a, z > 0, z > 0)
    with np.errstate(invalid="ignore"):
        return np.stack([power.sum((0, 2)) for power in powers], 1).astype(float)


def moments(rows, start=1.0):
    """Return what ``add_moments`` adds to a number."""
    sums = np.full((rows.shape[1], 2), start)
    _kernels.add_moments(_kernels.values(rows), sums)
    return sums - start


def relu_moments(rows, start=1.0):
    """Return what ``add_relu_moments`` adds to a number, side by side."""
    sums = [np.full((rows.shape[1], columns), start) for columns in (2, 2, 3)]
    _kernels.add_relu_moments(_kernels.values(rows), *sums)
    return np.hstack(sums) - start


def interpreted(kernel, rows, *columns):
    """Return what a kernel adds, side by side, run by Python instead of compiled."""
    sums = [np.zeros((rows.shape[1], number)) for number in columns]
    kernel.py_func(rows.numpy(), *sums)
    return np.hstack(sums)


@given(
    sizes=st.tuples(*(st.integers(0, 9) for _ in range(3))),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    order=st.permutations(range(3)),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_sums_are_those_of_numpy(sizes, dtype, order, seed):
    rows = torch.randn(sizes, dtype=dtype, generator=repro.generator(seed)).permute(order)
    rows = rows.where(rows.abs() > 0.3, 0) * 10.0 ** (seed % 7 - 3)
    right = expected(rows)
    for found in (
        relu_moments(rows),
        np.hstack(_kernels._relu_moments_elsewhere(rows)),
        interpreted(_kernels._add_relu_moments, rows, 2, 2, 3),
    ):
        np.testing.assert_allclose(found, right, rtol=1e-11, atol=1e-11)
    for found in (
        moments(rows),
        _kernels._moments_elsewhere(rows),
        interpreted(_kernels._add_moments, rows, 2),
    ):
        np.testing.assert_allclose(found, right[:, :2], rtol=1e-11, atol=1e-11)
    assert _kernels.square(rows) == pytest.approx(right[:, 1].sum(), rel=1e-11)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_change_is_that_of_numpy(dtype):
    before, after = torch.randn(2, 6, 7, generator=repro.generator(0)).to(dtype)
    after = after.T.contiguous().T.requires_grad_()
    old, step = before.double().clone(), after.detach().double() - before.double()
    right = (old.square().sum().item(), step.square().sum().item())
    kept = _kernels.snapshot(before)
    before.zero_()
    assert _kernels.change(kept, after) == pytest.approx(right, rel=1e-12)
    found = _kernels._change.py_func(old.flatten().numpy(), (old + step).flatten().numpy())
    assert found == pytest.approx(right, rel=1e-12)
    assert _kernels._square.py_func(old.flatten().numpy()) == pytest.approx(right[0], rel=1e-12)


class Elsewhere(torch.Tensor):
    """A tensor that says that it is not in main memory."""

    is_cpu = False


def test_a_tensor_elsewhere_is_summed_by_pytorch():
    here = torch.randn(3, 5, 7, generator=repro.generator(0))
    there = here.as_subclass(Elsewhere)
    np.testing.assert_allclose(relu_moments(there), relu_moments(here), rtol=1e-11)
    np.testing.assert_allclose(moments(there), moments(here), rtol=1e-11)
    assert _kernels.square(there) == pytest.approx(_kernels.square(here), rel=1e-12)
    kept, after = _kernels.snapshot(there), there + 1
    there.zero_()
    right = (kept.double().square().sum().item(), 105)
    assert isinstance(kept, torch.Tensor)
    assert _kernels.change(kept, after) == pytest.approx(right, rel=1e-6)


def test_values_that_are_not_finite_stay_what_they_are():
    rows = torch.randn(2, 8, 40)
    rows[0, :3, 7] = rows[1, 4:7, 9] = torch.tensor([math.nan, math.inf, -math.inf])
    right = expected(rows)
    assert np.isnan(right[[0, 4], :5]).all()
    assert right[[2, 6], 2:4].min() > 0  # -∞ is cut off
    for found in (relu_moments(rows), np.hstack(_kernels._relu_moments_elsewhere(rows))):
        np.testing.assert_allclose(found, right)
    np.testing.assert_allclose(moments(rows), right[:, :2])


def test_adding_is_in_place_and_silent():
    part = np.array([[1.0, math.inf], [2.0, 3.0]])
    for add in (_kernels.add, _kernels.add.py_func):
        sums = np.array([[1.0, 1.0], [0.5, math.inf]])
        add(part, sums)
        np.testing.assert_array_equal(sums, [[2.0, math.inf], [2.5, math.inf]])
    with_infinities = np.array([[-math.inf]])
    _kernels.add(np.array([[math.inf]]), with_infinities)  # NumPy would warn
    assert np.isnan(with_infinities).all()


def test_squares_beyond_single_precision():
    rows = torch.tensor([1e-30, 2e-30, 1e30]).view(1, 3, 1)
    np.testing.assert_allclose(moments(rows, 0.0)[:, 1], [1e-60, 4e-60, 1e60], rtol=1e-6)


def test_a_tensor_that_needs_gradients_is_read():
    assert _kernels.square(torch.tensor([3.0, 4.0], requires_grad=True)) == 25


def test_without_a_place_for_machine_code_it_is_compiled_each_time():
    names = {}
    exec("def add(rows, sums):\n    sums[0, 0] += rows[0, 0, 0]", names)  # in no file at all
    sums = np.zeros((1, 1))
    _kernels._compiled(names["add"])(np.full((1, 1, 1), 2.0), sums)
    assert sums == 2
