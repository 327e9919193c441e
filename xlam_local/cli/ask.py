"""The command that plays one turn."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import wire
from ..errors import UsageError
from ..sanitize import printable
from ..types import (
    Always,
    Answer,
    Calls,
    Decision,
    Done,
    Event,
    Message,
    No,
    Once,
    Question,
    Result,
    System,
    Tick,
    Tool,
    User,
)
from .offering import open_box
from .options import Wanted, choice_option, model_options, read_text, warn_of_refusals
from .show import Screen

if TYPE_CHECKING:
    from ..session import Session

REFUSED, FAILED = 6, 7
"""Exit codes for an answer that lacks a tool the model wanted."""


@click.command()
@click.argument("text", nargs=-1)
@choice_option("auto")
@click.option("--system", help="The system message.")
@click.option("--no-tools", is_flag=True, help="Offer no tools at all.")
@click.option("--allow", multiple=True, metavar="TOOL", help="Run this tool without asking.")
@click.option(
    "--folder",
    default=".",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder that the file tools see.",
)
@click.option(
    "--grammar-file",
    type=click.Path(path_type=Path),
    help="Write the answer within this GBNF; tools of --tools are shown, and nothing runs.",
)
@click.option("--json", "form", flag_value="json", help="Write one JSON object.")
@click.option("--jsonl", "form", flag_value="jsonl", help="Write each event as a line of JSON.")
@model_options
def ask(wanted: Wanted, text: tuple[str, ...], form: str | None, **how: Any) -> int:
    """Ask TEXT and let the model use tools until it answers.

    Without TEXT, stdin is read. The answer is on stdout, all else on stderr. Offered are the
    built-in tools, the user's own and those of the files named with --tools. Calls to tools that
    are only described there end the turn and are its result.
    """
    from ..session import Session, own_consent

    said, settings = read_text(text), wanted.settings()
    if how["grammar_file"]:
        return _within(wanted, said, form, how)
    with ExitStack() as stack:
        tools: tuple[Tool, ...] = ()
        if not how["no_tools"]:
            box = stack.enter_context(open_box(how["folder"], wanted.tools, wanted.trust))
            tools = _checked(box.tools, how["allow"])
        engine = wanted.engine(settings)
        session = Session(engine, tools, _approve, wanted.rules(settings), how["system"])
        session.consent = own_consent(how["folder"])
        for tool in tools:
            if tool.name in how["allow"]:
                session.consent.allow(tool)
        return _play(session, said, form)


def _play(session: Session, said: str, form: str | None) -> int:
    """Play the turn; the exit code."""
    from ..session import ending

    start = len(session.messages)
    with closing(session.send(said)) as events:
        done = FORMS[form](events, session.messages)
    if error := ending(done.reason):
        raise error
    return _exit_code(session.messages[start:])


def _within(wanted: Wanted, said: str, form: str | None, how: Mapping[str, Any]) -> int:
    """Answer within a grammar of the user's own."""
    from ..session import ending
    from . import within

    if how["allow"]:
        raise click.UsageError("With --grammar-file nothing runs, so there is nothing to --allow.")
    rules, tools = within.load(how["grammar_file"]), wanted.load_tools()
    messages: list[Message] = [System(how["system"])] if how["system"] else []
    messages.append(User(said))
    settings = wanted.settings()
    engine, sampling = wanted.engine(settings), wanted.rules(settings).sampling
    done = FORMS[form](within.write(messages, tools, engine, rules, sampling), messages)
    if error := ending(done.reason):
        raise error
    return 0


def _checked(tools: tuple[Tool, ...], allow: Sequence[str]) -> tuple[Tool, ...]:
    """The tools, once it is said which are not offered and that those to allow are there."""
    from ..grammar import for_turn

    for name in allow:
        if name not in {tool.name for tool in tools}:
            raise UsageError(f"There is no tool {name!r} to allow.")
    warn_of_refusals(for_turn(tools).report)
    return tools


def _as_text(events: Iterator[Event], messages: Sequence[Message]) -> Done:
    screen, done = Screen(), Done("cancelled")
    for event in events:
        screen.show(event)
        match event:
            case Done():
                done = event
    if done.reason == "calls":
        click.echo(wire.dumps(_calls(messages)))
    return done


def _as_json(events: Iterator[Event], messages: Sequence[Message]) -> Done:
    done = Done("cancelled")
    for event in events:
        if isinstance(event, Done):
            done = event
    last = messages[-1]
    outcome = {
        "answer": last.text if isinstance(last, Answer) else None,
        "calls": _calls(messages) if done.reason == "calls" else [],
        "reason": done.reason,
        "messages": wire.messages_json(messages),
        "usage": asdict(done.usage),
    }
    click.echo(wire.dumps(outcome))
    return done


def _as_jsonl(events: Iterator[Event], messages: Sequence[Message]) -> Done:
    done = Done("cancelled")
    for event in events:
        if isinstance(event, Tick):
            continue
        click.echo(wire.dumps(wire.event_json(event)))
        if isinstance(event, Done):
            done = event
    return done


FORMS = {None: _as_text, "json": _as_json, "jsonl": _as_jsonl}


def _calls(messages: Sequence[Message]) -> list[dict[str, Any]]:
    last = messages[-1]
    return [wire.call_json(call) for call in last.calls] if isinstance(last, Calls) else []


def _approve(question: Question) -> Decision:
    """Ask on the terminal, where there is one."""
    from ..consent import unasked

    tool, call = question.tool, question.call
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return unasked(question)
    held = f"{tool.effect.value}, sandbox {tool.sandbox.value}"
    told = f"\n{tool.name} ({held}) {wire.dumps(call.arguments)}"
    click.echo(printable(told), err=True)
    if question.preview:
        click.echo(printable(question.preview), err=True)
    click.echo(printable(question.why), err=True)
    answer = click.prompt(
        "Run it? y once, c this call from now on, t this tool, C or T for good, or no",
        default="no",
        err=True,
    )
    return ANSWERS.get(answer.strip(), No())


ANSWERS: dict[str, Decision] = {
    **dict.fromkeys(("y", "yes", "Y", "Yes"), Once()),
    "c": Always(exact=True),
    "t": Always(),
    "C": Always(exact=True, keep=True),
    "T": Always(keep=True),
}


def _exit_code(said: Sequence[Message]) -> int:
    """0 for an answer that had the tools it wanted; else what was in its way."""
    results = [message for message in said if isinstance(message, Result)]
    if refused := [result.call.name for result in results if result.refused]:
        click.echo(f"Refused: {', '.join(refused)}.", err=True)
        return REFUSED
    return FAILED if results and not results[-1].ok else 0
