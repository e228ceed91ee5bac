# SPDX-License-Identifier: MIT
"""Benchmarks: `python -m benchmarks`, or `make bench`. README.md says how they measure."""
