"""The paper calculation of docs/scaling.md, with numbers to do in the head."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_day_of_movies_is_worked_out_and_put_into_its_page(tmp_path):
    row = {"denoiser": "general", "way": "engine", "device": "cpu"}
    report = {
        "machine": "a machine",
        "lowdose": "1",
        "speed": [
            {**row, "precision": "float32", "megapixels_per_second": 10.0},
            {**row, "precision": "float32", "megapixels_per_second": 20.0},
            {**row, "precision": "bfloat16", "megapixels_per_second": None},
            {**row, "way": "torch", "precision": "x", "megapixels_per_second": 99.0},
        ],
        "disk": [{"format": ".mrc", "read": 1000.0, "write": 1000.0}],
    }
    (tmp_path / "rates.json").write_text(json.dumps(report))
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs" / "scaling.md").read_text())
    command = [sys.executable, str(ROOT / "benchmarks" / "day.py")]
    for _ in range(2):  # twice is as good as once
        subprocess.run(
            [*command, str(tmp_path / "rates.json"), "--write", str(page)], check=True
        )
    text = page.read_text()
    assert "57.9 Mpx/s, 116 MB/s to read and 231 MB/s" in text
    assert "| 57.9 Mpx/s | 20 Mpx/s | 3 machines |" in text
    assert "| 35% of its time |" in text
    assert "99" not in text.partition("begin: benchmarks")[2].partition("end:")[0]
    assert text.count("a machine, lowdose 1.") == 1
    assert "Not measured yet" not in text
    assert text.endswith((ROOT / "docs" / "scaling.md").read_text()[-200:])
