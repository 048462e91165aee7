"""How fast this machine denoises, reads and writes: what ``lowdose bench`` prints."""

from lowdose.speed.cases import Case, SpeedRow
from lowdose.speed.disks import DiskRow, measure_disk
from lowdose.speed.processes import measure_cases

__all__ = ["Case", "DiskRow", "SpeedRow", "measure_cases", "measure_disk"]
