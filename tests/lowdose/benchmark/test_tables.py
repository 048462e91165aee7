"""One table, three ways to write it."""

import csv
import io

import pytest

from lowdose.benchmark.report import Heading, Picture, Report, Words
from lowdose.benchmark.tables import Column, Table

TABLE = Table(
    name="scores",
    title="Scores",
    columns=(
        Column(key="denoiser", heading="Denoiser", text=True),
        Column(key="psnr", heading="PSNR [dB]", digits=1, best="most"),
        Column(key="mse", heading="MSE [10^-3]", digits=2, factor=1e3, best="least"),
    ),
    rows=(
        {"denoiser": "a|b", "psnr": 31.26, "mse": 0.00123456},
        {"denoiser": "<c>", "psnr": float("nan"), "mse": 0.01},
        {"denoiser": "d", "psnr": 30.0},
    ),
    note="Told & true.",
)


def test_csv_has_all_digits_and_nothing_where_there_is_nothing():
    rows = list(csv.DictReader(io.StringIO(TABLE.to_csv())))
    assert [row["psnr"] for row in rows] == ["31.26", "", "30.0"]
    assert float(rows[0]["mse"]) == 0.00123456
    assert rows[2]["mse"] == ""


def test_markdown_is_rounded_has_equal_rows_and_the_best_in_bold():
    lines = TABLE.to_markdown().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert table[0] == "| Denoiser | PSNR [dB] | MSE [10^-3] |"
    assert table[1] == "|---|---:|---:|"
    assert table[2] == "| a\\|b | **31.3** | **1.23** |"
    assert table[3] == "| <c> | – | 10.00 |"
    assert lines[-1] == "Told & true."


def test_html_is_escaped():
    page = TABLE.to_html()
    assert "&lt;c&gt;" in page
    assert "<c>" not in page
    assert "<b>31.3</b>" in page


def test_a_single_number_is_not_the_best_of_anything():
    alone = Table(name="t", title="T", columns=TABLE.columns, rows=TABLE.rows[:1])
    assert "**" not in alone.to_markdown()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(float("inf"), "∞"), (None, "–"), (3, "3"), (True, "True"), ("word", "word")],
)
def test_odd_values_are_shown_as_words(value, shown):
    assert Column(key="k", heading="K", digits=2).show(value) == shown


def test_a_report_is_one_page_and_a_folder_of_files(tmp_path):
    hidden = Table(
        name="bins", title="Bins", columns=TABLE.columns, rows=TABLE.rows, shown=False
    )
    report = Report(
        title="A & B",
        blocks=(
            Heading(text="First"),
            Words(text="Words."),
            TABLE,
            hidden,
            Picture(name="plot", caption="A plot", png=b"\x89PNG"),
        ),
    )
    written = report.write(tmp_path / "new")
    names = {path.name for path in written}
    assert names == {"report.html", "report.md", "scores.csv", "bins.csv", "plot.png"}
    assert {path.name for path in (tmp_path / "new").iterdir()} == names
    page = written[0].read_text("utf-8")
    assert "data:image/png;base64,iVBORw==" in page
    assert "http" not in page
    assert "<h1>A &amp; B</h1>" in page
    text = written[1].read_text("utf-8")
    assert "![A plot](plot.png)" in text
    assert text.count("| Denoiser |") == 1
    assert "[bins.csv](bins.csv)" in text
