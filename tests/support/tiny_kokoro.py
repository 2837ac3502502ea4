"""A model with Kokoro's inputs and output that hums: the more phonemes, the longer, and each voice at another pitch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

VOICES = ("af_heart", "bm_george", "ef_dora", "jf_alpha")
SAMPLES = 1200
"""For each phoneme at speed 1, and for the two ends: 50 ms."""


def write(folder: Path) -> Path:
    """``model.onnx`` and ``voices.bin``. Needs onnx."""
    import onnx
    from onnx import TensorProto, helper

    folder.mkdir(parents=True, exist_ok=True)
    constants = {
        "one": np.array(1, np.int64),
        "zero": np.array(0, np.int64),
        "samples": np.array(SAMPLES, np.float32),
        "loud": np.array(0.3, np.float32),
        "scalar": np.array([], np.int64),
    }
    nodes = [
        helper.make_node("Shape", ["tokens"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["count"]),
        helper.make_node("Cast", ["count"], ["count_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["count_float", "samples"], ["slow"]),
        helper.make_node("Reshape", ["speed", "scalar"], ["factor"]),
        helper.make_node("Div", ["slow", "factor"], ["length_float"]),
        helper.make_node("Cast", ["length_float"], ["length"], to=TensorProto.INT64),
        helper.make_node("Range", ["zero", "length", "one"], ["at"]),
        helper.make_node("Cast", ["at"], ["at_float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["style"], ["pitch"], keepdims=0),
        helper.make_node("Mul", ["at_float", "pitch"], ["phase"]),
        helper.make_node("Sin", ["phase"], ["wave"]),
        helper.make_node("Mul", ["wave", "loud"], ["audio"]),
    ]
    graph = helper.make_graph(
        nodes,
        "hum",
        [
            helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "count"]),
            helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
            helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["length"])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "model.onnx"))
    styles = {name: np.full((510, 1, 256), 0.05 + number / 50, np.float32) for number, name in enumerate(VOICES)}
    with (folder / "voices.bin").open("wb") as file:
        np.savez(file, **styles)
    return folder
