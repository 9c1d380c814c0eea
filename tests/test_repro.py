"""``repro``: seeds give the draws, threads are set, the report is complete."""

import random

import numpy as np
import pytest
import torch

from cnnbook import repro


def _draws():
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def test_seed_all_seeds_every_generator():
    own = repro.seed_all(3)
    first, first_own = _draws(), torch.rand(2, generator=own)
    own = repro.seed_all(3)
    assert _draws() == first
    assert torch.equal(torch.rand(2, generator=own), first_own)
    repro.seed_all(4)
    assert all(new != old for new, old in zip(_draws(), first, strict=True))


def test_a_generator_is_independent_of_the_global_one():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = torch.rand(3, generator=repro.generator(5))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.rand(3, generator=repro.generator(5)), first)
    assert not torch.equal(torch.rand(3, generator=repro.generator(6)), first)


def test_use_threads():
    before = torch.get_num_threads()
    try:
        repro.use_threads(2)
        assert torch.get_num_threads() == 2
        repro.use_threads()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_environment_names_versions_and_threads():
    report = repro.environment()
    assert report["torch"] == torch.__version__
    assert report["torch threads"] == torch.get_num_threads()
    assert report.notna().all()


def test_the_device_is_kept_until_it_is_taken_back():
    assert repro.device() is None
    try:
        repro.use_device("cpu")
        assert repro.device() == torch.device("cpu")
        with pytest.raises(ValueError, match="device must be a device of this machine"):
            repro.use_device("tpu")
        assert repro.device() == torch.device("cpu")
    finally:
        repro.use_device(None)
    assert repro.device() is None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: repro.seed_all(1.0), TypeError, "seed must be an integer, got 1.0"),
        (lambda: repro.seed_all(-1), ValueError, "seed must be at least 0, got -1"),
        (lambda: repro.seed_all(2**32), ValueError, "seed must be below"),
        (lambda: repro.generator(-1), ValueError, "seed must be at least 0"),
        (lambda: repro.use_device(1), TypeError, "device must be a device such as 'cuda', got 1"),
        (lambda: repro.use_threads(0), ValueError, "count must be at least 1, got 0"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
