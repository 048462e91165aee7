"""Benchmarks of denoisers against the truth: protocols, a runner, and reports."""

from lowdose.benchmark.options import Options
from lowdose.benchmark.protocols import PROTOCOLS, build
from lowdose.benchmark.running import Run, iter_benchmark

__all__ = ["PROTOCOLS", "Options", "Run", "build", "iter_benchmark"]
