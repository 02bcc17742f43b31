"""The configuration of a device that is measured here: what to measure on, and how."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

from latpred.config import check_keys, construct, read_yaml
from latpred.device import Device
from latpred.errors import ConfigError
from latpred.profiling.environment import hardware_kind
from latpred.profiling.runtimes import AUTO, RUNTIMES, Runtime, TorchCuda, runtime_class


@dataclass(frozen=True, slots=True)
class RequestedDevice:
    """A device as a user asks for it; `DeviceConfig.resolve` says which one that is on this machine."""

    hardware: str = AUTO
    """`auto` for the CPU under the name it gives itself, another name for it, or a GPU: `cuda`, `cuda:1`."""
    runtime: str = "torch"
    precision: str = "float32"
    threads: int = 1
    """One gives the steadiest latencies, and the only ones with a CPU time and a count of preemptions."""
    batch: int = 1
    """Images per pass."""
    layout: str = "nchw"
    """Memory layout of the activations: `nchw` or `nhwc`."""

    def __post_init__(self) -> None:
        """Refuse what no built-in runtime can run."""
        if not _is_hardware(self.hardware):
            raise ValueError(f"hardware must be '{AUTO}', 'cuda', 'cuda:N' or the CPU's name, got {self.hardware!r}")
        if self.runtime not in RUNTIMES:
            raise ValueError(f"runtime must be one of {', '.join(sorted(RUNTIMES))}, got {self.runtime!r}")
        runtime = runtime_class(self.runtime, self.hardware)
        for name, allowed in (("precision", runtime.precisions), ("layout", runtime.layouts)):
            if getattr(self, name) not in allowed:
                found = getattr(self, name)
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)} with runtime {runtime.name}, got {found!r}"
                )
        for name in ("threads", "batch"):
            if not _is_number(count := getattr(self, name), int) or count < 1:
                raise ValueError(f"{name} must be an integer >= 1, got {count!r}")


@dataclass(frozen=True, slots=True)
class Measuring:
    """How a session measures."""

    pin: bool = True
    """Keep the measuring thread on one CPU (one per thread); without effect on macOS and Windows, which cannot."""
    warmup_passes: int = 1
    """Passes of a network before its timed ones in each visit: they bring its weights back into the caches."""
    min_warmup_s: float = 0.5
    """Shortest warm-up of the process, before the first visit."""
    max_warmup_s: float = 3.0
    """Where the warm-up ends at the latest; before, it ends as soon as the latencies have settled."""
    hold_memory: bool = True
    """Keep freed memory in the process, so that no pass waits for the system to map it anew: see `allocator`."""
    anchor_every: int = 20
    """Visits from one of an anchor network to the next; anchors tie sessions and groups of networks together."""
    loaded_networks: int = 64
    """Networks that stay loaded at once, beside the anchors, where the runtime compiles them; they are measured in
    groups of that size."""
    memory: bool = True
    """Measure each network's peak memory, once a session."""
    energy: bool = False
    """Measure the energy of each visit's passes too, where a meter can be read."""
    cuda_graphs: bool = False
    """On a GPU, replay the network as one graph, without the launches of its kernels."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in ("pin", "hold_memory", "memory", "energy", "cuda_graphs"):
            if not isinstance(found := getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false, got {found!r}")
        for name in ("anchor_every", "loaded_networks"):
            if not _is_number(count := getattr(self, name), int) or count < 1:
                raise ValueError(f"{name} must be an integer >= 1, got {count!r}")
        if not _is_number(self.warmup_passes, int) or self.warmup_passes < 0:
            raise ValueError(f"warmup_passes must be an integer >= 0, got {self.warmup_passes!r}")
        for name in ("min_warmup_s", "max_warmup_s"):
            if not _is_number(seconds := getattr(self, name), (int, float)) or not 0 <= seconds <= 600:
                raise ValueError(f"{name} must lie between 0 and 600, got {seconds!r}")
        if self.min_warmup_s > self.max_warmup_s:
            raise ValueError(f"max_warmup_s must be >= min_warmup_s = {self.min_warmup_s}, got {self.max_warmup_s}")


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """A file in `configs/devices`: what to measure on, and how."""

    device: RequestedDevice = field(default_factory=RequestedDevice)
    measuring: Measuring = field(default_factory=Measuring)

    @property
    def runtime(self) -> type[Runtime]:
        """What executes the networks."""
        return runtime_class(self.device.runtime, self.device.hardware)

    def make_runtime(self) -> Runtime:
        """Return the runtime, not entered yet."""
        if issubclass(self.runtime, TorchCuda):
            return self.runtime(self.resolve(), asked=self.device.hardware, graphs=self.measuring.cuda_graphs)
        return self.runtime(self.resolve())

    def resolve(self) -> Device:
        """Return the device that this machine has under that description: its processor, the installed runtime.

        Raises:
            ProfilingError: If the runtime is not installed, or there is no such processor.
        """
        asked = self.device
        self.runtime.require()
        return Device(
            hardware=self.runtime.hardware(asked.hardware),
            runtime=self.runtime.name,
            runtime_version=self.runtime.version(),
            precision=asked.precision,
            threads=asked.threads,
            batch=asked.batch,
            layout=asked.layout,
        )


def load_device(path: str | Path) -> DeviceConfig:
    """Read the YAML of a device.

    Raises:
        ConfigError: If the file cannot be read, a key is unknown, or a value cannot be; naming the file and the key.
    """
    content = read_yaml(Path(path))
    check_keys(str(path), content, [section.name for section in fields(DeviceConfig)], required=["device"])
    for name, section in content.items():
        if not isinstance(section, dict):
            problem = f"expected a mapping, found {type(section).__name__}"
            raise ConfigError(f"{path}: {name}", problem, "Write its keys below it, indented, or leave the section out")
    return DeviceConfig(
        device=construct(RequestedDevice, content["device"], f"{path}: device"),
        measuring=construct(Measuring, content.get("measuring", {}), f"{path}: measuring"),
    )


def _is_hardware(asked: object) -> bool:
    """Tell whether that may be hardware; a GPU that is misspelt is no CPU of that name."""
    if not isinstance(asked, str) or not asked.strip():
        return False
    return not asked.strip().lower().startswith("cuda") or hardware_kind(asked) != "cpu"


def _is_number(value: object, kind: type | tuple[type, ...]) -> bool:
    """Tell whether `value` is of that kind; True and False are integers to Python, but no numbers to users."""
    return isinstance(value, kind) and not isinstance(value, bool)
