"""`ask`: play one turn."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from click.core import ParameterSource

from .. import session_setup
from ..agent import Engine
from ..agent.grammar_answer import read_grammar
from ..agent.recording import RecordingEngine, ReplayEngine, compile_patterns
from ..agent.schema_answer import SchemaAnswer
from ..config import Config
from ..grammar import compile_schema, compile_tools
from ..openai_format import dumps
from ..permissions.approver import Approver, deny_non_interactive
from ..session import Session
from ..terminal_text import escape_blanks
from ..tools import Source
from ..types import (
    AllowAlways,
    AllowOnce,
    ApprovalRequest,
    AssistantMessage,
    Decision,
    Deny,
    Done,
    Event,
    Message,
    Tool,
    ToolResult,
    UserMessage,
)
from .answer_schema import read_schema_option
from .offered_tools import find_tools, show_offered, with_cost_notice
from .options import ModelOptions, model_options, tool_choice_option, warn_of_refusals
from .questions import prompt
from .render import make_output, play
from .request import file_option, read_request
from .saved_conversation import (
    ConversationOptions,
    SavedConversation,
    conversation_options,
    open_conversation,
)
from .toolbox_options import OpenMode, open_toolbox

TOOL_REFUSED, TOOL_FAILED = 6, 7
"""Exit codes if a tool was refused, or if the last call failed."""


@click.command()
@click.argument("text", nargs=-1)
@file_option
@conversation_options
@tool_choice_option("auto")
@click.option("--no-tools", is_flag=True, help="Offer only the tools of --tools.")
@click.option(
    "--allow",
    multiple=True,
    metavar="TOOL",
    help="Run TOOL without approval. Can be given several times.",
)
@click.option(
    "--cwd",
    default=".",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The working folder of the file tools.",
)
@click.option(
    "--schema",
    metavar="FILE|FIELDS",
    help="Answer with JSON in this schema: a file, JSON, or fields such as 'name str, age int'. "
    "No tool runs.",
)
@click.option(
    "--grammar-file",
    type=click.Path(path_type=Path),
    help="Constrain the answer to this GBNF grammar. The tools of --tools are in the prompt, "
    "but no tool runs.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write what the model decides to FILE, for --replay.",
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Take the model's decisions from FILE; no model is loaded, and the tools run.",
)
@click.option(
    "--redact",
    multiple=True,
    metavar="REGEX",
    help="With --record: replace what matches in the file. Can be given several times.",
)
@click.option("--json", "output", flag_value="json", help="Print the result as one JSON object.")
@click.option("--jsonl", "output", flag_value="jsonl", help="Print each event as a line of JSON.")
@model_options
def ask(model: ModelOptions, text: tuple[str, ...], files: tuple[Path, ...], **values: Any) -> int:
    """Ask TEXT, and let the model call tools until it answers.

    Text on stdin is added to TEXT, and so are the files of -f. The answer goes to stdout,
    everything else to stderr. The conversation is saved in the history. The model is offered the
    built-in tools, your own and those of the --tools files. Calls to tools that those files only
    describe end the turn; they are printed as its result.
    """
    chosen = {f.name: values.pop(f.name) for f in fields(ConversationOptions)}
    options = AskOptions(**values)
    _check_options(options)
    with ExitStack() as stack:
        conversation = ConversationOptions(**chosen)
        request = read_request(text, files, required=conversation.messages is None)
        saved = stack.enter_context(open_conversation(conversation))
        request = request if request.text else saved.take_request()
        if not request.text:
            raise click.UsageError("Missing argument TEXT: the last message is not the user's.")
        settings = model.settings()
        saved.set_system(settings.system, explicit=bool(model.overrides.get("system")))
        if options.schema is not None or options.grammar_file is not None:
            return _answer_within(request, saved, options, model)
        return _answer_with_tools(request, saved, options, model)


@dataclass(frozen=True, slots=True)
class AskOptions:
    """The options of `ask` that `call` does not have."""

    no_tools: bool
    allow: tuple[str, ...]
    cwd: Path
    schema: str | None
    grammar_file: Path | None
    output: str | None
    record: Path | None
    replay: Path | None
    redact: tuple[str, ...]


def _check_options(options: AskOptions) -> None:
    """Check that every option has an effect."""
    if options.record is not None and options.replay is not None:
        raise click.UsageError("--record and --replay exclude each other.")
    if options.redact and options.record is None:
        raise click.UsageError("--redact needs --record.")
    compile_patterns(options.redact)
    if options.schema is None and options.grammar_file is None:
        return
    if options.schema is not None and options.grammar_file is not None:
        raise click.UsageError("--schema and --grammar-file exclude each other.")
    used = "--schema" if options.schema is not None else "--grammar-file"
    context = click.get_current_context()
    for name in ("allow", "cwd", "tool_choice", "no_parallel"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} has no effect with {used}: no tool runs.")


def _answer_with_tools(
    request: UserMessage, saved: SavedConversation, options: AskOptions, model: ModelOptions
) -> int:
    """Play a turn in which the model can call tools; return the exit code."""
    with ExitStack() as stack:
        tools: tuple[Tool, ...] = ()
        sources: tuple[Source, ...] = ()
        if not options.no_tools or model.tools:
            logs = Path(stack.enter_context(TemporaryDirectory())) if saved.ephemeral else None
            mode = OpenMode(only_files=options.no_tools, log_folder=logs)
            toolbox = open_toolbox(options.cwd, model.tools, model.trust, mode)
            stack.enter_context(toolbox)
            tools, sources = toolbox.tools, toolbox.sources
        if model.only:
            tools = tuple(find_tools(model.only, tools, "--only", sources))
        allowed = find_tools(options.allow, tools, "--allow", () if model.only else sources)
        compiled = compile_tools(tools)
        warn_of_refusals(compiled.report)
        approver = session_setup.load_approver(options.cwd, allowed)
        session = _open_session(saved, tools, model, options, approver)
        if model.verbose:
            show_offered(compiled.tools, session.engine)
        start, turn = len(session.messages), session.send(request)
        if not model.only:
            turn = with_cost_notice(turn, compiled.tools, session.engine)
        _play(turn, session, saved, options, model)
        return exit_code(session.messages[start:])


def _answer_within(
    request: UserMessage, saved: SavedConversation, options: AskOptions, model: ModelOptions
) -> int:
    """Print an answer within the user's own grammar or schema."""
    tools = model.load_tools()
    if options.grammar_file is not None:
        grammar = read_grammar(options.grammar_file)
        session = _open_session(saved, tools, model, options)
        _play(session.send_within(request, grammar), session, saved, options, model)
        return 0
    if tools:
        raise click.UsageError("--tools has no effect with --schema: no tool runs.")
    schema = read_schema_option(options.schema or "")
    compile_schema(schema)  # An error in it is reported before the model is loaded.
    session = _open_session(saved, tools, model, options)
    _play(session.send_for_json(request, schema), session, saved, options, model)
    last = session.messages[-1]
    assert isinstance(last, AssistantMessage)
    SchemaAnswer(schema).parse(last.text)
    return 0


def _open_session(
    saved: SavedConversation,
    tools: Sequence[Tool],
    model: ModelOptions,
    options: AskOptions,
    approver: Approver | None = None,
) -> Session:
    """Load the model, and continue the conversation with it."""
    settings = model.settings()
    turn_options = model.turn_options(settings)
    if saved.ephemeral:
        settings = replace(settings, prompt_cache_mib=0)
        turn_options = replace(turn_options, save_full_result=None)
    engine = _open_engine(model, settings, options)
    session = Session(engine, tools, approve_on_terminal, turn_options, approver=approver)
    if saved.recorder is not None and options.replay is None:
        identity = model.model_identity(settings)
        saved.recorder.model_sha256, saved.recorder.adapters = identity
    saved.start_recording(engine.name, options.cwd)
    session.resume(saved.messages, saved.recorder)
    return session


def _open_engine(model: ModelOptions, settings: Config, options: AskOptions) -> Engine:
    """Load the model, or open the recording that replaces it."""
    if options.replay is not None:
        return ReplayEngine(options.replay)
    engine = model.load(settings)
    if options.record is not None:
        return RecordingEngine(engine, options.record, options.redact)
    return engine


def _play(
    turn: Generator[Event, None, Done],
    session: Session,
    saved: SavedConversation,
    options: AskOptions,
    model: ModelOptions,
) -> None:
    """Play a turn and print it."""
    output = make_output(options.output, saved.number)
    play(turn, output, session.messages, model.quiet)
    if model.verbose and (number := saved.number()) is not None:
        click.echo(f"Saved as conversation {number}.", err=True)


def approve_on_terminal(request: ApprovalRequest) -> Decision:
    """Ask the user on the terminal; deny the call if there is none."""
    tool, call = request.tool, request.call
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return deny_non_interactive(request)
    capability = f"{tool.effect.value}, sandbox {tool.sandbox.value}"
    title = f"\n{tool.name} ({capability}) {dumps(call.arguments)}"
    for line in filter(None, (title, request.preview, request.reason)):
        click.echo(escape_blanks(line), err=True)
    answer = prompt(
        "Allow? y: once, c: this call in this session, t: this tool in this session, "
        "C or T: permanently, n: no",
        default="no",
    )
    return ANSWERS.get(answer.strip(), Deny())


ANSWERS: dict[str, Decision] = {
    **dict.fromkeys(("y", "yes", "Y", "Yes"), AllowOnce()),
    "c": AllowAlways(exact_arguments=True),
    "t": AllowAlways(),
    "C": AllowAlways(exact_arguments=True, permanent=True),
    "T": AllowAlways(permanent=True),
}


def exit_code(messages: Sequence[Message]) -> int:
    """Return 0 if no call of the turn was refused and the last one succeeded."""
    results = [m for m in messages if isinstance(m, ToolResult) and not m.skipped]
    if refused := [result.call.name for result in results if result.refused]:
        click.echo(f"Refused: {', '.join(refused)}.", err=True)
        return TOOL_REFUSED
    return TOOL_FAILED if results and not results[-1].ok else 0
