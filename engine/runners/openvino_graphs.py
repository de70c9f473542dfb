"""Forwards on a CPU by OpenVINO, an optional package: a compiled model for each shape of inputs.

It computes in float32, up to twice as fast as torch (docs/measurements.md). The weights of linear layers are
inputs of the model that lie in the UNet's own memory, so it serves every mix of adapters that change no more.
All others are constants, since to pack those of convolutions at each forward would cost as much as is won.
While a mix changes them, forwards are left to torch.
"""

import importlib.util
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.runners.compiled import share_weights
from engine.runners.graphs import Graph, Thresholds, WrongGraph, check_graph
from engine.runners.runner import Shape, UnetInputs
from engine.runners.traced import trace

# To make a model takes seconds of one core in the background, and 100 MB while it is kept.
THRESHOLDS = Thresholds(busy=300, idle=8, full=2000)
MODELS = 8
LARGEST_ERROR = 1e-4  # of the outputs, relative: a picture is then off by 1/255 at most
CHECKS = 3  # of a model: it may seem wrong where another mix is merged between its forward and torch's

TELEMETRY = "openvino_telemetry"  # it reports to its makers, which nobody here has asked for


def import_openvino() -> Any:
    """OpenVINO, without its telemetry."""
    before = sys.modules.get(TELEMETRY)
    sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # None means not installed
    try:
        import openvino
    finally:
        if before is None:
            del sys.modules[TELEMETRY]
        else:
            sys.modules[TELEMETRY] = before
    return openvino


class OpenVinoCompiler:
    """Makes graphs by OpenVINO."""

    verb = "run by OpenVINO"
    in_background = True

    def __init__(self, network: nn.Module) -> None:
        """Raises ImportError where OpenVINO is not installed."""
        self.thresholds, self.limit = THRESHOLDS, MODELS
        if importlib.util.find_spec("openvino") is None:
            raise ImportError("OpenVINO is not installed.")
        self._openvino: Any = None  # it is imported in the background
        self._core: Any = None
        self._twin = share_weights(network)  # which keeps its modules while a training exchanges the UNet's
        self._constants = UnchangedConstants(self._twin)
        self._weights = {
            f"{name}.weight": module.weight.detach().numpy()
            for name, module in self._twin.named_modules()
            if isinstance(module, nn.Linear)
        }
        self._settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # other processes have the same cores
        }

    def make(self, network: Any, shape: Shape) -> Graph:
        """The compiled model for inputs of this shape. Raises WrongGraph where it is not exact."""
        del network  # the twin computes the same
        self._openvino = import_openvino()
        model = self._convert(shape)
        weights = self._make_inputs(model)
        compiled = self._openvino.Core().compile_model(model, "CPU", self._settings)
        request = compiled.create_infer_request()
        for number, weight in enumerate(weights):
            request.set_input_tensor(len(shape) + number, self._share(weight))

        def run(inputs: UnetInputs) -> tuple[Tensor, ...] | None:
            if not self._constants.are_unchanged():
                return None
            for number, tensor in enumerate(inputs.tensors):
                request.set_input_tensor(number, self._share(tensor.contiguous().numpy()))
            request.infer()
            return tuple(torch.from_numpy(output.data.copy()) for output in request.output_tensors)

        self._check(run, shape)
        return run

    def _convert(self, shape: Shape) -> Any:
        """OpenVINO's model of the traced twin."""
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(trace(self._twin, shape))  # to be held while it is converted
        model = frontend.convert(frontend.load(decoder))
        model.reshape({number: list(size) for number, (_, size, _) in enumerate(shape)})
        return model

    def _make_inputs(self, model: Any) -> list[Any]:
        """Turn the constants of a model that are `_weights` into its last inputs, and return these.

        A model for keys and values of prompts has no weights that compute them.
        """
        constants = {node.get_friendly_name(): node for node in model.get_ops()}
        parameters, weights = [], []
        for name, weight in self._weights.items():
            if (constant := constants.get(f"self.network.{name}")) is None:
                continue
            parameter = self._openvino.opset15.parameter(weight.shape, np.float32, name=name)
            for target in constant.output(0).get_target_inputs():
                target.replace_source_output(parameter.output(0))
            parameters.append(parameter)
            weights.append(weight)
        model.add_parameters(parameters)
        model.validate_nodes_and_infer_types()
        return weights

    def _share(self, array: Any) -> Any:
        return self._openvino.Tensor(array, shared_memory=True)

    def _check(self, graph: Graph, shape: Shape) -> None:
        inputs = UnetInputs.random(shape, torch.device("cpu"))
        for nth in range(CHECKS):
            try:
                check_graph(graph, self._twin, inputs, LARGEST_ERROR)
                return
            except WrongGraph:
                if nth == CHECKS - 1:
                    raise


class UnchangedConstants:
    """All parameters of a network but the weights of its linear layers: it gets copies of its own.

    They say whether the parameters are still equal to them.
    """

    def __init__(self, network: nn.Module) -> None:
        self._pairs: list[tuple[Tensor, Tensor]] = []  # parameters as they are now, and their copies
        for module in network.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                if isinstance(module, nn.Linear) and name == "weight":
                    continue
                copied = nn.Parameter(parameter.detach().clone(), requires_grad=False)
                module.register_parameter(name, copied)
                self._pairs.append((parameter.detach(), copied))
        self._version, self._unchanged = self._count_writes(), True

    def are_unchanged(self) -> bool:
        """Whether all are as they were at first. They are compared after something wrote to them."""
        version = self._count_writes()
        if version != self._version:
            self._version = version
            self._unchanged = all(torch.equal(parameter, copied) for parameter, copied in self._pairs)
        return self._unchanged

    def _count_writes(self) -> int:
        return sum(parameter._version for parameter, _ in self._pairs)
