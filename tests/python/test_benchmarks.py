# SPDX-License-Identifier: MIT
"""The measuring stand works: every workload runs at a tiny size, and results become a page. Nothing
is timed here."""

import json
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


RUN = {
    "kind": "run",
    "run": "2026-01-02T03:04:05+00:00",
    "processor": "Some processor",
    "processors": 2,
    "instructions": ["avx2"],
    "commit": "abc1234",
    "versions": {"torch": "2.13.0"},
    "unset": ["OPENBLAS_CORETYPE"],
    "settings": {"1": {"tinyfin": {"TINYFIN_THREADS": "1"}}},
    "roof": {"1": {"flops": 2e11, "bf16": 0.0, "cache": 1e11, "memory": 5e10}},
}


def row(workload, name, **more):
    row = {"kind": "row", "run": RUN["run"], "workload": workload, "case": name, "threads": 1}
    return {**row, "unit": "s", **more}


ROWS = [
    row(
        "mlp", "train SGD b64", best={"tinyfin": 1e-4, "jax": 2e-4, "torch": 4e-4}, peer="jax",
        ratio=0.5, roof_percent={"tinyfin": 71.0}, goal={"ratio": 0.75}, variants={"jax": "jit"},
    ),
    row(
        "cnn", "infer b1", best={"tinyfin": 3e-5, "onnxruntime": 2e-5}, peer="onnxruntime",
        ratio=1.5, goal={"ratio": 0.8},
    ),
    row("lstm", "LSTM 128-256 T64 b32 forward", best={"torch": 8e-3}, peer="torch",
        missing={"tinyfin": "tinyfin.nn.LSTM"}),
    row("gemm_kernel", "NN 512x512x512", best={"tinyfin": 1e-3}, roof_percent={"tinyfin": 96.0},
        goal={"roof": 95}),
    row("small_ops", "a + b", best={"tinyfin": 4e-7}, goal={"value": 4.5e-7}),
]  # fmt: skip


@pytest.fixture
def results(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in (RUN, *ROWS)))
    return path


def test_a_page_from_results(results, tmp_path):
    pytest.importorskip("matplotlib")
    from benchmarks import report

    (tmp_path / "notebook").mkdir()
    (tmp_path / "notebook" / "training.md").touch()
    text = report.write(results, tmp_path).read_text(encoding="utf-8")
    assert "3 of 4 goals are reached. In 1 of 2 rows a peer is ahead." in text
    assert "| 100 µs | 200 µs JAX (jit) | 0.50 | 400 µs | 71 % | ≤0.75 | yes |" in text
    assert "| **1.50** |" in text and "**no** ([why](notebook/training.md))" in text
    assert "not there yet" in text and "| float32 multiply-adds, GFLOP/s | 200 |" in text
    drawn = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert drawn == {"performance-steps.svg", "performance-gemm.svg"}
    assert all(f"pictures/{name}" in text for name in drawn)


def test_the_same_page_again(results, tmp_path):
    pytest.importorskip("matplotlib")
    from benchmarks import report

    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        report.write(results, folder)
    for path in first.rglob("*.*"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_published_rows_take_their_places(results, tmp_path, monkeypatch):
    from benchmarks import records

    monkeypatch.setattr(records, "PUBLISHED", tmp_path / "published.jsonl")
    records.publish(results, {RUN["run"]})
    later = {**RUN, "run": "2026-01-03T03:04:05+00:00"}
    records.append(results, later)
    records.append(results, {**ROWS[0], "run": later["run"], "ratio": 0.4})
    records.publish(results, {later["run"]})
    runs, rows = records.read(records.PUBLISHED)
    assert len(runs) == 2 and len(rows) == len(ROWS)
    assert rows["mlp", "train SGD b64", 1]["ratio"] == 0.4
