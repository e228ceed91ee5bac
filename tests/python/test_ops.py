# SPDX-License-Identifier: MIT
"""Every sample of samples/: values, gradients of first and second order, thread counts."""

from __future__ import annotations

import opcheck
import pytest

SAMPLES, BROKEN = opcheck.all_samples()
BY_ID = {s.id: s for s in SAMPLES}

each_sample = pytest.mark.parametrize("name", list(BY_ID))
each_differentiable = pytest.mark.parametrize(
    "name", [s.id for s in SAMPLES if opcheck.keys_to_check(s)]
)


def test_sample_files_load():
    assert not BROKEN


def test_every_differentiable_op_has_a_sample():
    with_sample = {s.op for s in SAMPLES}
    lacking = [op.name for op in opcheck.schemas().values()
               if op.grad and op.name not in with_sample]  # fmt: skip
    assert not lacking, f"no gradient is checked for {', '.join(sorted(lacking))}"


def test_every_differentiable_op_is_gradient_checked():
    checked = {s.op for s in SAMPLES if opcheck.keys_to_check(s)}
    lacking = [op.name for op in opcheck.schemas().values() if op.grad and op.name not in checked]
    assert not lacking, f"no gradient is checked for {', '.join(sorted(lacking))}"


def test_samples_name_ops():
    unknown = {s.op for s in SAMPLES} - set(opcheck.schemas())
    assert not unknown, f"no schema describes {', '.join(sorted(unknown))}"


@each_sample
def test_forward(name):
    opcheck.check_forward(BY_ID[name])


@each_differentiable
def test_gradient(name):
    opcheck.check_grad(BY_ID[name])


@each_differentiable
def test_gradient_in_bfloat16(name):
    opcheck.check_narrow_grad(BY_ID[name])


@each_differentiable
def test_second_order(name):
    opcheck.check_grad2(BY_ID[name])


@each_sample
def test_same_bits_with_any_number_of_threads(name):
    names = BY_ID[name].dtype_names
    for dtype in (names[0], *[n for n in names if n == "bfloat16"]):
        sample = opcheck.cast(BY_ID[name], dtype)
        with opcheck.threads(1):
            alone = opcheck.bits(sample)
        for n in (2, 3, 4):
            with opcheck.threads(n):
                assert opcheck.bits(sample) == alone, f"{dtype}, {n} threads"
