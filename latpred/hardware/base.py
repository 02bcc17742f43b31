"""The contract of a hardware: what a device that runs no Python is given, and how its layers are called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from torch import nn

from latpred.formats import Layer
from latpred.network import Network


class CompiledModel(NamedTuple):
    """What `Hardware.compile` made of one network or primitive."""

    layers: tuple[tuple[str, ...], ...]
    """For each block, the names of its layers in the vendor's file, in execution order; () if it has none."""
    notes: tuple[str, ...] = ()
    """What a person should know, a sentence each: a command that is absent, and what was made without it."""


class Hardware(ABC):
    """Turns networks into what the tools of a device take; one class in one file, made from a YAML's `parameters`.

    When each method is called:

    - by `latpred compile`: the constructor, once; `compile` for each network and, where `compiles_primitives`, for
      each distinct primitive, as a network of one block; then `files` and `commands`, for the folder's README;
    - by `latpred parse`: the constructor, with the parameters that `compile` had; `device_facts` and `precision_of`,
      to name the device; `nodes_of`, for each row of a profile.

    What a method writes depends on nothing but its arguments and the parameters: the same input, the same bytes.
    Constructors have typed arguments and no `**kwargs`, and refuse with a `ValueError` what cannot be.
    """

    name: ClassVar[str]
    """As in the YAML, and in the folder's name: lower-case letters, digits, `_`."""
    runtime: ClassVar[str]
    """What executes the networks, as in `Device.runtime`."""
    formats: ClassVar[tuple[str, ...]]
    """Names of `latpred.formats.FORMATS` that its tools write, the usual one first. latpred's CSV is always read."""
    compiles_primitives: bool = False
    """Whether each distinct primitive is compiled by itself, too, to be measured alone."""
    tells_hardware: ClassVar[bool] = False
    """Whether its tools print the hardware's own name; some print `CPU`, which is no name."""

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments, plain JSON values."""

    @abstractmethod
    def compile(self, network: Network, modules: Sequence[nn.Module], folder: Path) -> CompiledModel:
        """Write the files of one model.

        Args:
            network: What to compile; a primitive alone is a network of one block.
            modules: Of its primitives, in eval mode and in execution order; equal primitives share one.
            folder: Where to write. It exists and is empty; its name is the model's, and the stem of its files.

        Raises:
            ProfilingError: If the device cannot express a block, naming it.
        """

    @abstractmethod
    def commands(self) -> str:
        """Return what to do on the device as Markdown: the commands to run, and what each writes into `results/`."""

    def files(self) -> Mapping[str, str]:
        """Return further text files for the compiled folder by their names, such as a script with the commands."""
        return {}

    def device_facts(self) -> dict[str, Any]:
        """Return what is known of the device beforehand: some of `Device`'s fields, such as precision and batch."""
        return {"layout": "nchw"}

    def precision_of(self, told: str) -> str:
        """Return what `Device.precision` calls a precision that a tool prints."""
        return _PRECISIONS.get(told.lower(), told.lower())

    def nodes_of(self, layer: Layer) -> tuple[str, ...]:
        """Return the layers of the vendor's file that a row of a profile is made of, in execution order.

        What is returned is looked up among the names that `compile` returned, and searched for `b07/`.
        """
        return layer.nodes or (layer.name,)


_PRECISIONS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("fp32", "f32", "float", "float32"), "float32"),
        **dict.fromkeys(("fp16", "f16", "half", "float16"), "float16"),
        **dict.fromkeys(("bf16", "bfloat16"), "bfloat16"),
        **dict.fromkeys(("i8", "int8"), "int8"),
    }
)
