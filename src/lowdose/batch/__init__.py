"""Files in, denoised files out: one or many, resumed, in processes or on a cluster.

:func:`denoise_file` does one file, :func:`denoise_files` many, in one process or
several, and :func:`denoise_on_cluster` many with every worker of a dask cluster.
Whatever ends the program, a result bears its name only when it is complete.
"""

from lowdose.batch.cluster import denoise_on_cluster
from lowdose.batch.jobs import Job, expand, files_in, plan_jobs
from lowdose.batch.overall import Overall
from lowdose.batch.single import FileOptions, denoise_file
from lowdose.batch.spec import DenoiserSpec
from lowdose.batch.status import FileStatus, Outcome, State
from lowdose.batch.workers import denoise_files

__all__ = [
    "DenoiserSpec",
    "FileOptions",
    "FileStatus",
    "Job",
    "Outcome",
    "Overall",
    "State",
    "denoise_file",
    "denoise_files",
    "denoise_on_cluster",
    "expand",
    "files_in",
    "plan_jobs",
]
