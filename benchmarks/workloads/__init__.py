# SPDX-License-Identifier: MIT
"""One file per workload: CASES and build()."""
