# SPDX-License-Identifier: MIT
"""What only peers need: training steps in JAX, models for ONNX Runtime, tuning of PyTorch."""
