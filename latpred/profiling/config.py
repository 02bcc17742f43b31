"""The configuration of a device that is measured here: what to measure on, and how."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

from latpred.config import check_keys, construct, read_yaml
from latpred.device import Device
from latpred.errors import ConfigError
from latpred.profiling.runtimes import AUTO, RUNTIMES


@dataclass(frozen=True, slots=True)
class RequestedDevice:
    """A device as a user asks for it; `DeviceConfig.resolve` says which one that is on this machine."""

    hardware: str = AUTO
    """The processor's name, or `auto` for the name it gives itself."""
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
        if self.runtime not in RUNTIMES:
            raise ValueError(f"runtime must be one of {', '.join(sorted(RUNTIMES))}, got {self.runtime!r}")
        runtime = RUNTIMES[self.runtime]
        for name, allowed in (("precision", runtime.precisions), ("layout", runtime.layouts)):
            if getattr(self, name) not in allowed:
                found = getattr(self, name)
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)} with runtime {runtime.name}, got {found!r}"
                )
        if not isinstance(self.hardware, str) or not self.hardware.strip():
            raise ValueError(f"hardware must be '{AUTO}' or the CPU's name, got {self.hardware!r}")
        if self.hardware.lower().split(":")[0] in ("cuda", "gpu", "mps", "rocm"):
            known = ", ".join(f"{name} on the CPU" for name in sorted(RUNTIMES))
            raise ValueError(
                f"hardware must be '{AUTO}' or the CPU's name ({known} is all there is), got {self.hardware!r}"
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

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not isinstance(self.pin, bool):
            raise ValueError(f"pin must be true or false, got {self.pin!r}")
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

    def resolve(self) -> Device:
        """Return the device that this machine has under that description: its processor, the installed runtime."""
        asked = self.device
        runtime = RUNTIMES[asked.runtime]
        return Device(
            hardware=runtime.hardware(asked.hardware),
            runtime=runtime.name,
            runtime_version=runtime.version(),
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


def _is_number(value: object, kind: type | tuple[type, ...]) -> bool:
    """Tell whether `value` is of that kind; True and False are integers to Python, but no numbers to users."""
    return isinstance(value, kind) and not isinstance(value, bool)
