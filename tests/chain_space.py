"""A space whose blocks do what the tests need: compute, sleep, break, or look around."""

import gc
import time

import torch
from torch import nn

from latpred.network import Network
from latpred.primitive import Primitive
from latpred.profiling.clock import usable_cpus
from latpred.spaces.base import SearchSpace


class Sleep(nn.Module):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def forward(self, x):
        time.sleep(self.seconds)
        return x


class Call(nn.Module):
    """Calls a function in each pass that is measured (those that prepare weights run outside inference mode)."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        if torch.is_inference_mode_enabled():
            self.function(x)
        return x


class ChainSpace(SearchSpace):
    """Architectures are tuples of block types: `conv`, `sleep`, `break`, `look`, `interrupt`."""

    name = "chain"
    slots = 8

    @property
    def parameters(self):
        return {}

    def __init__(self):
        self.seen = []
        self.built = []

    def block(self, primitive):
        self.built.append(primitive.prim_type)
        return {
            "conv": lambda: nn.Conv2d(primitive.C, primitive.C_out, 1),
            "sleep": lambda: Sleep(0.01),
            "break": lambda: Call(self._break),
            "look": lambda: Call(self._look),
            "interrupt": lambda: Call(self._interrupt),
        }[primitive.prim_type]()

    def _break(self, x):
        raise RuntimeError("mat1 and mat2\n  do not fit")

    def _interrupt(self, x):
        raise KeyboardInterrupt

    def _look(self, x):
        self.seen.append(
            {
                "affinity": usable_cpus(),
                "collects": gc.isenabled(),
                "threads": torch.get_num_threads(),
                "gradients": torch.is_grad_enabled(),
                "shape": tuple(x.shape),
            }
        )

    def sample(self, rng):
        return tuple(rng.choices(["conv", "sleep"], k=3))

    def mutate(self, architecture, rng):
        return architecture[:-1]

    def primitives(self, architecture):
        return tuple(Primitive(kind, 8, 3, 3) for kind in architecture)

    def all_primitives(self):
        return frozenset(self.primitives(("conv", "sleep", "break", "look", "interrupt")))

    def slot_ids(self, architecture):
        kinds = sorted(["conv", "sleep", "break", "look", "interrupt"])
        ids = [kinds.index(kind) for kind in architecture]
        return ids + [-1] * (self.slots - len(ids))

    def to_json(self, architecture):
        return list(architecture)

    def from_json(self, value):
        return tuple(value)

    def assembled(self, *kinds):
        """An assembled network, which is no architecture."""
        primitives = self.primitives(kinds)
        return Network(self.name, primitives, ("glue",) + ("primitive",) * (len(kinds) - 1))
