"""Sessions with the user's own policy, settings and results folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from . import config
from .agent import TurnOptions
from .config import Config
from .model_loading import load_model
from .permissions.approver import POLICY_FILE, Approver
from .session import Session, deny_all
from .tools.result_files import result_saver
from .types import AskUser, Sampling, Tool


def open_session(
    model: str | None = None,
    tools: Sequence[Tool] = (),
    approve: AskUser = deny_all,
    options: TurnOptions | None = None,
    system: str | None = None,
    *,
    preset: str | None = None,
) -> Session:
    """Load a model and start a session with the user's policy, settings and results folder.

    `model` is a name as in `xlam-local models list`, or a GGUF file; by default the user's
    choice. `approve` answers for calls that policy.toml neither allows nor denies; by default
    they are refused. `options` and `system` replace the settings of config.toml, and `preset`
    names one of its presets.

    Raises:
        UsageError: config.toml or policy.toml is invalid, or there is no such preset.
        XlamError: the model cannot be loaded; see `load_model`.
    """
    folders = config.folders()
    settings = config.with_preset(config.load(folders.config / "config.toml"), preset)
    approver = load_approver(Path.cwd())
    options = options or turn_options(settings)
    if options.save_full_result is None:
        options = replace(options, save_full_result=_save_full_result)
    engine = load_model(model, settings, folders)
    system = (settings.system or None) if system is None else system
    return Session(engine, tools, approve, options, system, approver=approver)


def load_approver(folder: Path, allowed: Sequence[Tool] = ()) -> Approver:
    """Return an approver with the user's policy.toml for the working folder `folder`.

    The tools in `allowed` run without asking until the session ends.

    Raises:
        UsageError: policy.toml cannot be read or is invalid.
    """
    approver = Approver.open(config.folders().config / POLICY_FILE, folder)
    for tool in allowed:
        approver.allow(tool)
    return approver


def turn_options(settings: Config) -> TurnOptions:
    """Return the user's turn settings; results that are truncated are saved in full.

    Raises:
        UsageError: config.toml names a preset that it does not have.
    """
    settings = config.with_preset(settings)
    return TurnOptions(
        max_steps=settings.max_steps,
        sampling=_sampling(settings),
        timeout=settings.turn_timeout,
        token_budget=settings.turn_token_budget,
        strict_context=settings.strict_context,
        save_full_result=_save_full_result,
    )


def _sampling(settings: Config) -> Sampling:
    return Sampling(
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        min_p=settings.min_p,
        repeat_penalty=settings.repeat_penalty,
        repeat_last_n=settings.repeat_last_n,
        stop=settings.stop,
        seed=settings.seed,
        max_tokens=settings.max_tokens,
    )


def _save_full_result(tool_name: str, text: str) -> str:
    """Save a tool's full result in the user's results folder; return the file's path."""
    return result_saver(config.folders().state / "results")(tool_name, text)
