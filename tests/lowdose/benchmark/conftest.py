"""Running a protocol at the smallest size, in this process."""

import json

import pytest

from lowdose.benchmark import Options, Run, build, iter_benchmark
from lowdose.benchmark.methods import parse_methods
from lowdose.inference import DenoiseOptions


def finished(job):
    """Return the result of a generator."""
    while True:
        try:
            next(job)
        except StopIteration as end:
            return end.value


@pytest.fixture
def benchmark(tmp_path):
    """Return a function that runs a protocol: its report, and its rows by method."""

    def run(protocol, *denoisers, resume=False, workers=1, folder="out", **options):
        options.setdefault("datasets", ("sample",))
        study = finished(build(protocol, Options(**options), tmp_path / "images"))
        job = iter_benchmark(
            study,
            tmp_path / folder,
            Run(
                methods=parse_methods(denoisers),
                options=DenoiseOptions(device="cpu", precision="float32"),
                resume=resume,
                workers=workers,
            ),
        )
        report = finished(job)
        rows = {}
        for line in (tmp_path / folder / "rows.jsonl").read_text().splitlines():
            entry = json.loads(line)
            rows.setdefault(entry["denoiser"], []).extend(entry["rows"])
        return report, rows

    return run
