# SPDX-License-Identifier: MIT
"""Models for ONNX Runtime, written as graphs."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.libraries import normal_array


class Graph:
    """A chain of nodes, each reading the one before it."""

    def __init__(self, *shape):
        self.shape, self.last = shape, "x"
        self.nodes, self.constants = [], []

    def constant(self, *shape):
        name = f"c{len(self.constants)}"
        array = normal_array(*shape, seed=len(self.constants)) * np.float32(0.05)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, kind, *constants, **attributes):
        out = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [self.last, *constants], [out], **attributes))
        self.last = out

    def linear(self, n, m):
        self.add("Gemm", self.constant(m, n), self.constant(m), transB=1)

    def conv(self, c, o, k, pad):
        constants = self.constant(o, c, k, k), self.constant(o)
        self.add("Conv", *constants, kernel_shape=[k, k], pads=[pad] * 4)

    def steps(self, threads: int) -> dict:
        """Ways to run it: arrays by name, or buffers bound once."""
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)]
        outputs = [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "model", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        feed = {"x": normal_array(*self.shape)}
        names = [self.last]
        value = onnxruntime.OrtValue.ortvalue_from_numpy(feed["x"])
        out = onnxruntime.OrtValue.ortvalue_from_numpy(session.run(names, feed)[0])
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", value)
        binding.bind_ortvalue_output(self.last, out)
        return {
            "run": lambda: session.run(names, feed),
            "bound": lambda: session.run_with_iobinding(binding),
        }
