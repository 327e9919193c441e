"""`serve`: serve the model over HTTP."""

from __future__ import annotations

import os
from typing import Any

import click

from .. import config
from ..session_setup import turn_options
from .options import ModelOptions, engine_options

LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")
CLIENTS = (
    *("openai", "langchain", "pydantic-ai", "codex", "opencode", "continue"),
    *("open-webui", "home-assistant", "llm"),
)
"""The programs whose configuration can be printed."""


MAX_SEQUENCES = 64


class SequenceCount(click.ParamType[int | None]):
    """A number of sequences; "auto" is None."""

    name = "count"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | None:
        """Return the number, or None for "auto"."""
        if value in (None, "auto"):
            return None
        return click.IntRange(1, MAX_SEQUENCES).convert(value, param, ctx)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
@click.option(
    "--max-queue",
    type=click.IntRange(0),
    default=16,
    show_default=True,
    help="Requests that may wait for the model; more are answered with status 503.",
)
@click.option(
    "--sequences",
    type=SequenceCount(),
    default="auto",
    show_default=True,
    metavar="N|auto",
    help="Replies that are written at once. auto takes as many as memory allows and as measured "
    "speed makes worthwhile; 1 repeats replies byte for byte.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0, 3600),
    default=10.0,
    show_default=True,
    help="Seconds that running replies get to end after SIGTERM or Ctrl+C.",
)
@click.option("--no-auth", is_flag=True, help="Require no token. Every program can then connect.")
@click.option(
    "--allow-origin",
    multiple=True,
    metavar="ORIGIN",
    help="Let the website ORIGIN connect, such as http://localhost:3000. Can be given several "
    "times.",
)
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Accept NAME as the host name of this server. Can be given several times.",
)
@click.option("--print-token", is_flag=True, help="Print the token and exit.")
@click.option(
    "--print-config",
    type=click.Choice(CLIENTS),
    help="Print the configuration of another program for this server, with the token, and exit.",
)
@engine_options
def serve(model: ModelOptions, print_token: bool, print_config: str | None, **options: Any) -> None:
    """Serve the model to other programs over HTTP, with OpenAI's API.

    Requests need the token in the header `Authorization: Bearer TOKEN`. It is made at the first
    start and shown once; it is read from the variable XLAM_LOCAL_TOKEN, or from the file
    server-token in the configuration folder. Tools never run here: calls go to the client.
    """
    # Starlette and uvicorn take half a second to load, and `--help` imports this module.
    from .. import server

    token = None
    if print_token or not options["no_auth"]:
        token = server.access_token(config.folders().config, os.environ)
    if print_token:
        assert token is not None
        click.echo(token.value)
        return
    if print_config:
        host = f"[{options['host']}]" if ":" in options["host"] else options["host"]
        url = f"http://{host}:{options['port']}"
        text = server.client_config(print_config, url, token.value if token else "none")
        click.echo(text, nl=False)
        return
    bound = server.open_socket(options["host"], options["port"])
    with bound:
        settings = model.settings()
        engine = model.load(settings, options["sequences"])
        queue = server.EngineQueue(engine, options["max_queue"])
        tokenizer = model.tokenizer(settings, engine)
        state = server.ServerState(queue, tokenizer, turn_options(settings).sampling)
        rules = server.AccessRules(
            token=token.value if token else None,
            hosts=options["allow_host"],
            origins=options["allow_origin"],
        )

        def ready() -> None:
            if token is None:
                click.echo("Warning: every program on this machine can connect.", err=True)
                if options["host"] not in LOOPBACK_HOSTS:
                    click.echo("Warning: so can every machine on the network.", err=True)
            elif token.new:
                click.echo(f"New token, saved in {token.source}: {token.value}", err=True)
            else:
                click.echo(f"The token is in {token.source}.", err=True)
            click.echo(f"Serving {state.model} on {server.url_of(bound)}/v1", err=True)

        server.run_server(state, rules, bound, options["grace"], ready)
