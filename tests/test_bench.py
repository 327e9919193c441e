from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from xlam_local.bench.report import RATIOS, Report, drawn, medians
from xlam_local.cli import run_command
from xlam_local.cli.bench import BARS
from xlam_local.errors import UsageError


def test_a_ratio_divides_medians() -> None:
    report = Report("m", "here", {}, {})
    report.add("calls, in its process", "tokens/s", 1.0, 30.0, 31.0)
    report.add("LlamaGrammar", "tokens/s", 10.0)
    report.add("LlamaGrammar", "tokens/s", 20.0)
    assert report.ratios == {"calls / LlamaGrammar": 2.0}
    assert report.figures["LlamaGrammar"].spread == pytest.approx(10 / 15)


def test_the_picture_has_a_bar_for_each_figure() -> None:
    report = Report("m", "here", {}, {})
    for name in BARS[:3]:
        report.add(name, "tokens/s", 10.0)
    picture = ElementTree.fromstring(drawn(report, BARS))
    assert len(picture.findall("{http://www.w3.org/2000/svg}rect")) == 3


def test_what_is_no_report_is_not_compared_with() -> None:
    with pytest.raises(UsageError, match="is not what `bench --json` writes"):
        medians({"figures": [1]}, "old.json")


@pytest.mark.slow
def test_a_whole_run_measures_every_subject(
    qwen_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    picture, old = tmp_path / "speed.svg", tmp_path / "old.json"
    command = ["bench", "-m", str(qwen_path), "--rounds", "1", "--threads", "1"]
    assert run_command([*command, "--json", "--picture", str(picture)]) == 0
    told = json.loads(capfd.readouterr().out)
    named = {figure["name"] for figure in told["figures"]}
    wanted = {name for _, above, below in RATIOS for name in (above, below)}
    assert wanted - named <= {"llama-server", "text in auto", "text, no grammar"}
    assert told["curve"]
    assert picture.exists()
    old.write_text(json.dumps(told))
    assert run_command([*command, "--compare", str(old)]) == 0
    assert "before" in capfd.readouterr().out
