# SPDX-License-Identifier: MIT
"""The measuring stand works: every workload runs at a tiny size. Nothing is timed here."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

case = pytest.importorskip("benchmarks.case")
libraries = pytest.importorskip("benchmarks.libraries")
sides = pytest.importorskip("benchmarks.sides")

NEEDS_PROGRAM = {"gemm_kernel": "bench_gemm", "small_ops_c": "bench_small_ops"}


@pytest.fixture(autouse=True)
def unpinned(monkeypatch):
    """`busy` asks for the usual scheduling policy; here it is left alone."""
    monkeypatch.setattr("os.sched_setscheduler", lambda *_: None, raising=False)


def run(step):
    if isinstance(step, case.Several):
        step = step.call
    return step.timeit(1) if hasattr(step, "timeit") else step()


@pytest.mark.parametrize("name", case.workload_names())
def test_every_case_runs_once(name):
    program = NEEDS_PROGRAM.get(name)
    if program and not (ROOT / "build" / "release" / "bin" / program).exists():
        pytest.skip(f"{program} is not built")
    workload = case.load_workload(name)
    assert workload.FAMILY
    names = [c.name for c in workload.CASES]
    assert len(set(names)) == len(names)
    library = libraries.load(sides.SIDES["tinyfin"], 1, True)
    for c in workload.CASES:
        tiny = {k: v for k, v in getattr(workload, "TINY", {}).items() if k in c.params}
        try:
            steps = workload.build(library, **{**c.params, **tiny})
        except case.NotThere as missing:
            assert str(missing).startswith("tinyfin.")
            continue
        for step in steps.values() if isinstance(steps, dict) else [steps]:
            run(step)


def test_goals_by_number_of_threads():
    assert case.Goal((0.75, 0.65)).at(1) == {"ratio": 0.75}
    assert case.Goal((0.75, 0.65)).at(8) == {"ratio": 0.65}
    assert case.Goal((0.6, None)).at(2) == {}
    assert case.Goal(0.6, roof=70).at(1) == {"ratio": 0.6, "roof": 70}


def test_a_missing_name_is_told():
    library = libraries.load(sides.SIDES["tinyfin"], 1, True)
    assert library.has("nn.Linear") and not library.has("nn.Nothing")
    with pytest.raises(case.NotThere, match="tinyfin.nn.Nothing"):
        library.find("nn.Nothing")
