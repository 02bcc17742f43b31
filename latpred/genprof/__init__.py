"""Profiling sets: networks whose measurement says what each primitive of a space takes."""

from __future__ import annotations

from latpred.genprof.assemble import Assembly, assemble
from latpred.genprof.folder import ProfDir, read_prof_dir, write_prof_dir
from latpred.genprof.sample import sampled

__all__ = ["Assembly", "ProfDir", "assemble", "read_prof_dir", "sampled", "write_prof_dir"]
