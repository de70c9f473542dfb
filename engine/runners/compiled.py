"""Compiled blocks of a UNet or a VAE, in a thread of its own, while forwards go on uncompiled.

Compiled is a twin, whose modules are others with the same weights. So the modules themselves can be used, and
trained, in the meantime and later, and the twin follows every mix of adapters. Only its repeated blocks are
compiled, for any size at once: that takes a tenth of the time of compiling the whole.
"""

import copy
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from engine.runners.runner import EagerRunner, UnetInputs

BLOCKS = (BasicTransformerBlock, ResnetBlock2D)
VARIANTS = 64  # of a block's code: SDXL has it in 20 widths, each for one row and for more

Backend = str | Callable[..., Any]

log = logging.getLogger(__name__)


class Compilation:
    """The twin of a network that is being compiled by its first forwards."""

    def __init__(self, network: Any, run_examples: Callable[[Any], None], backend: Backend) -> None:
        """run_examples: runs forwards of every kind that there will be."""
        self.network: Any = None  # the twin, once it is compiled
        self.is_done = False
        self._twin = share_weights(network)
        self._run_examples = run_examples
        self._backend = backend

    @torch.inference_mode()
    def run(self) -> None:
        """Compile it, or say why not in the log."""
        try:
            compile_blocks(self._twin, self._backend)
            self._run_examples(self._twin)
            self.network = self._twin
        except Exception:
            log.warning("Blocks cannot be compiled and go on uncompiled", exc_info=True)
        finally:
            self.is_done = True


class BackgroundCompiler:
    """Compiles networks one after another, in a thread that ends with the last of them.

    They are used when all are done. From then on nothing is compiled: what was not foreseen runs uncompiled.
    """

    def __init__(self, backend: Backend = "inductor", forget_code: Callable[[], None] = lambda: None) -> None:
        """forget_code: deletes code that was compiled before, on which it may have failed."""
        self._backend, self._forget_code = backend, forget_code
        self._compilations: list[Compilation] = []
        self._thread: threading.Thread | None = None
        self._stopped = False

    def submit(self, network: Any, run_examples: Callable[[Any], None]) -> Compilation:
        """Compile this network, too. Call before `start`."""
        compilation = Compilation(network, run_examples, self._backend)
        self._compilations.append(compilation)
        return compilation

    def start(self) -> None:
        """Begin to compile."""
        self._thread = threading.Thread(target=self._run, name="compiler", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for compilation in self._compilations:
            compilation.run()
        if any(compilation.network is None for compilation in self._compilations):
            self._forget_code()

    @property
    def is_done(self) -> bool:
        """Whether all is compiled."""
        done = all(compilation.is_done for compilation in self._compilations)
        if done and not self._stopped:
            torch.compiler.set_stance("eager_on_recompile")
            self._stopped = True
        return done

    def join(self) -> None:
        """Wait until all is compiled."""
        if self._thread is not None:
            self._thread.join()


class CompiledRunner(EagerRunner):
    """Runs a network, and its compiled twin when there is one. Where that fails, the network itself again."""

    def __init__(self, runner: EagerRunner, network: Any, compiler: BackgroundCompiler) -> None:
        """runner: what runs the network, or the twin."""
        super().__init__(network)
        self._runner, self._compiler = runner, compiler
        self._compilation = compiler.submit(network, self._run_examples)
        self._uses_twin = False
        runner.is_paused = True  # graphs are of the twin, and the thread would disturb their capture

    @staticmethod
    def _run_examples(twin: Any) -> None:
        """Forwards of one row and of more, with sizes that differ: equal ones would be compiled as equal."""
        unet = getattr(twin, "unet", twin)  # of fast steps, within them
        smallest = 2 ** (len(unet.config.block_out_channels) - 1)
        for rows in (2, 1):
            UnetInputs.examples(unet, rows, smallest * 5, smallest * 7).run(twin)

    def run(self, inputs: UnetInputs) -> tuple[Tensor, ...]:
        self._take_twin()
        try:
            return self._runner.run(inputs.as_inference() if self._uses_twin else inputs)
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise
        except Exception:
            if not self._uses_twin:
                raise
            outputs = super().run(inputs)  # another fault fails again
            log.warning("Compiled blocks failed and go on uncompiled", exc_info=True)
            self._runner.use(self._network)
            self._uses_twin, self._compilation.network = False, None
            return outputs

    def _take_twin(self) -> None:
        """Use the twin once it is there."""
        if self._uses_twin or not self._compiler.is_done:
            return
        self._runner.is_paused = False
        if self._compilation.network is not None:
            self._runner.use(self._compilation.network)
            self._uses_twin = True

    @property
    def can_prepare(self) -> bool:
        self._take_twin()
        return self._runner.can_prepare

    def prepare_next(self) -> None:
        """Prepare what its runner has to."""
        self._runner.prepare_next()

    @property
    def is_preparing(self) -> bool:
        return not self._compiler.is_done or self._runner.is_preparing

    def join(self) -> None:
        """Wait until all is compiled, and what its runner prepares."""
        self._compiler.join()
        self._runner.join()


@dataclass(frozen=True)
class EagerVae:
    """A VAE as it is."""

    network: Any


class CompiledVae:
    """A VAE, and its compiled twin when there is one."""

    def __init__(self, vae: Any, compiler: BackgroundCompiler) -> None:
        self._vae, self._compiler = vae, compiler
        self._compilation = compiler.submit(vae, self._run_examples)

    @staticmethod
    def _run_examples(twin: Any) -> None:
        latents = torch.zeros(1, twin.config.latent_channels, 40, 56, device=twin.device, dtype=twin.dtype)
        twin.decode(latents, return_dict=False)

    @property
    def network(self) -> Any:
        """What decodes now: the VAE itself where it saves memory by tiles."""
        if self._vae.use_tiling or not self._compiler.is_done or self._compilation.network is None:
            return self._vae
        return self._compilation.network


def compile_blocks(network: nn.Module, backend: Backend) -> None:
    """Compile each of BLOCKS in this network at its first forward."""
    for module in network.modules():
        if isinstance(module, BLOCKS):
            module.compile(dynamic=True, backend=backend, recompile_limit=VARIANTS)


def share_weights(network: nn.Module) -> Any:
    """A copy of the network whose parameters and buffers are the network's own."""
    tensors = [*network.parameters(), *network.buffers()]
    return copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})
