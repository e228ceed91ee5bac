# SPDX-License-Identifier: MIT
"""The programs in README.md run as they stand."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def program(language):
    found = re.findall(
        rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S
    )
    assert len(found) == 1
    return found[0]


def last_number(command):
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return float(re.findall(r"[\d.]+", run.stdout)[-1])


def test_python_program():
    assert last_number([sys.executable, "-c", program("python")]) > 94


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_c_program(tmp_path):
    (tmp_path / "train.c").write_text(program("c"))
    flags = []
    for option in ("--cflags", "--libs"):
        ask = [sys.executable, "-m", "tinyfin", option]
        flags += subprocess.run(ask, check=True, capture_output=True, text=True).stdout.split()
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "train.c", "-o", "train", *flags]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert last_number([tmp_path / "train"]) < 0.4


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        prose = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.S | re.M)
        for target in re.findall(r"\]\(([^)#:]+)\)", prose):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
