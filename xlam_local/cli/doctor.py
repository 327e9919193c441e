"""The `doctor` command: check this machine and suggest fixes."""

from __future__ import annotations

import click

from .. import hardware
from ..terminal_text import escape_control
from .doctor_checks import CHECKS, Finding, current_context
from .streams import echo_json

COLORS = {"fine": "green", "note": "yellow", "wrong": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> int:
    """Check this machine and suggest fixes.

    The exit code is 1 if anything is wrong.
    """
    context = current_context()
    findings = [finding for check in CHECKS for finding in check(context)]
    if as_json:
        machine = dict(hardware.machine_to_json(context.machine))
        document = {"machine": machine, "findings": [_to_json(finding) for finding in findings]}
        echo_json(document, indent=2)
    else:
        for finding in findings:
            _show(finding)
    return int(any(finding.status == "wrong" for finding in findings))


def _to_json(finding: Finding) -> dict[str, str]:
    return {
        "what": finding.subject,
        "state": finding.status,
        "said": finding.message,
        "mend": finding.fix,
    }


def _show(finding: Finding) -> None:
    """Write a finding as a line, and its fix as another."""
    status = click.style(f"{finding.status:<6}", fg=COLORS[finding.status])
    click.echo(f"{status} {finding.subject}: {escape_control(finding.message)}")
    if finding.fix:
        click.echo(f"       {escape_control(finding.fix)}")
