"""The state of the app: the model, its tools, the conversation and background jobs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ... import config
from ...config import Config, Folders
from ...errors import UsageError, XlamError
from ...types import AskUser, Event, LoadProgress, Notice, Tool, ToolCall, UserMessage
from .background import BackgroundJob
from .conversation import CurrentConversation
from .downloads import Downloads
from .tool_catalog import ToolCatalog
from .turn_worker import TurnStarter, TurnWorker

# The start of the app loads none of these; the methods that need them import them.
if TYPE_CHECKING:
    from ...agent import Engine, TurnOptions
    from ...engine import AdapterOption
    from ...engine.subprocess_engine import SubprocessEngine
    from ...hardware import Machine
    from ...models import Store
    from ...permissions.approver import Approver
    from ...session import Session
    from .system_stats import SystemStats

    class LoadedEngine(Engine, Protocol):
        """What the app needs from a loaded model."""

        @property
        def device(self) -> str:
            """The devices that compute, in words."""

        def close(self) -> None:
            """Free the memory; the next use loads the model again."""


ABANDON_TIMEOUT_S = 0.7
"""How long a running turn may take to end when the terminal is gone."""
LoadSteps = Generator[LoadProgress | Notice, None, "LoadedEngine"]
"""The steps of loading a model; the generator returns the engine."""


@dataclass(kw_only=True)
class ChatController:
    """Everything that the app shows and changes, without its widgets."""

    folders: Folders
    settings: Config
    cwd: Path
    """The working folder of the tools."""
    load_engine: Callable[[str | None], LoadSteps]
    """Loads the model of a name, or the user's default model for None."""
    tools: ToolCatalog
    detect_machine: Callable[[], Machine]
    """Returns this machine's memory and devices; takes up to a second."""
    model: str | None = None
    """The model to load at the start; None is the user's default model."""
    ephemeral: bool = False
    """Whether conversations are not saved."""
    notices: tuple[str, ...] = ()
    """What to tell the user at the start."""

    engine: LoadedEngine | None = None
    loading: BackgroundJob[LoadProgress | Notice] | None = None
    """The job that loads a model."""
    turn: TurnWorker | None = None
    """The running turn."""
    system_stats: SystemStats | None = None
    """Memory and temperature when they were last measured."""
    conversation: CurrentConversation = field(init=False)
    downloads: Downloads = field(init=False)

    def __post_init__(self) -> None:
        """Create the parts that depend on other fields."""
        history_path = self.folders.data / "history.db"
        self.conversation = CurrentConversation(history_path, self.cwd, self.ephemeral)
        self.downloads = Downloads(lambda: self.store)

    @property
    def ready(self) -> bool:
        """Whether a model is loaded and the history is open."""
        has_session = self.conversation.session is not None
        return has_session and self.loading is None and self.conversation.history_opened

    def why_busy(self) -> str:
        """Return why the conversation cannot be changed now, and what to do; empty if it can."""
        if self.turn is not None:
            return "The model is busy. Press Escape in the conversation to stop it."
        if self.loading is not None:
            return "The model is being loaded. Wait until it is ready, or press Escape to stop it."
        if self.conversation.session is None:
            return "No model is loaded. Press F2 to choose or download one."
        return "" if self.conversation.history_opened else "The history is being opened."

    @property
    def has_jobs(self) -> bool:
        """Whether a turn, the loading of a model or a download runs."""
        return self.turn is not None or self.loading is not None or self.downloads.running

    # The model.

    def start_loading(self, name: str | None) -> None:
        """Load a model in the background; the conversation continues with it."""
        self.cancel_loading()
        self.loading = BackgroundJob(lambda: self._load(name))

    def cancel_loading(self) -> bool:
        """Stop loading a model; return whether one was being loaded."""
        if self.loading is None:
            return False
        self.loading.cancel()
        return True

    def _load(self, name: str | None) -> LoadSteps:
        if self.engine is not None:
            # Two models may not fit into memory. If the new one fails, this one reloads itself.
            self.engine.close()
        engine = yield from self.load_engine(name)
        if self.conversation.session is None:
            self.conversation.session = self._new_session(engine)
        self.conversation.session.use_engine(engine)
        self.conversation.describe()
        self.engine = engine
        return engine

    def change_adapters(self, change: str) -> str:
        """Begin to change the LoRA adapters of the model in the background, as `/adapter` says.

        Without a change, return the adapters as a text, with those that are on.

        Raises:
            UsageError: the conversation is busy, or the change is not valid.
            ModelMissing: there is no such adapter.
            ModelError: an adapter does not fit the model.
        """
        from ...model_loading import adapter_overview, changed_adapters, local_engine

        if not change:
            return adapter_overview(self.engine, self.store)
        if reason := self.why_busy():
            raise UsageError(reason)
        engine = local_engine(self.engine)
        adapters = changed_adapters(engine, change, self.store)
        self.loading = BackgroundJob(lambda: self._set_adapters(engine, adapters))
        return ""

    def _set_adapters(
        self, engine: SubprocessEngine, adapters: Sequence[AdapterOption]
    ) -> Generator[LoadProgress | Notice, None, None]:
        yield from ()
        engine.set_adapters(adapters)
        self.conversation.adapters = "+".join(map(str, adapters))
        self.conversation.describe()

    def _new_session(self, engine: LoadedEngine) -> Session:
        from ...session import Session

        system = config.with_preset(self.settings).system
        return Session(engine, self.tools.refresh(), system=system, approver=self.approver)

    @cached_property
    def approver(self) -> Approver:
        """Decides on calls by the user's policy.

        Raises:
            UsageError: policy.toml is invalid.
        """
        from ...permissions.approver import POLICY_FILE, Approver

        return Approver.open(self.folders.config / POLICY_FILE, self.cwd)

    @property
    def model_name(self) -> str:
        """The name of the loaded model; empty if there is none."""
        return self.engine.name if self.engine is not None else ""

    @property
    def remote_host(self) -> str:
        """The other machine that reads the conversation; empty if there is none."""
        return getattr(self.engine, "host", "")

    @property
    def device(self) -> str:
        """The devices that the model computes on; empty if there is no model."""
        return self.engine.device if self.engine is not None else ""

    @property
    def store(self) -> Store:
        """The folders of the installed models."""
        from ...models import Store

        return Store.from_folders(self.folders.config, self.folders.data)

    # Turns.

    def start_turn(self, message: UserMessage, tool_choice: str = "auto") -> None:
        """Send a user message in the background."""
        self._start(lambda approve: self._send(message, tool_choice, approve))

    def start_repeat(self, call: ToolCall) -> None:
        """Run a tool call again in the background, without the model."""
        self._start(lambda approve: self._repeat(call, approve))

    def _start(self, turn: TurnStarter) -> None:
        self.turn = TurnWorker(turn)

    def _send(
        self, message: UserMessage, tool_choice: str, approve: AskUser
    ) -> Generator[Event, None, None]:
        session = self.conversation.active_session
        options = replace(self.turn_options(), tool_choice=tool_choice)
        tools = self.tools.refresh()
        yield from session.send(message, tools=tools, options=options, approve=approve)

    def _repeat(self, call: ToolCall, approve: AskUser) -> Generator[Event, None, None]:
        session, options = self.conversation.active_session, self.turn_options()
        tools = self.tools.refresh()
        yield from session.repeat(call, tools=tools, options=options, approve=approve)

    def turn_options(self) -> TurnOptions:
        """Return the options of the next turn."""
        from ...session_setup import turn_options

        options = turn_options(self.settings)
        return replace(options, save_full_result=None) if self.ephemeral else options

    # Tools.

    def find_tool(self, name: str) -> Tool | None:
        """Return the tool of a name, if the model is offered it."""
        return next((tool for tool in self.tools.current() if tool.name == name), None)

    def refresh_tools(self) -> None:
        """Notice tool files and servers that are new, changed or gone; a turn does this itself."""
        if self.turn is None:
            self.tools.refresh()

    def tool_costs(self) -> dict[str, int]:
        """Return each tool's prompt tokens; empty if no model can count them now."""
        session = self.conversation.session
        if self.turn is not None or session is None:
            return {}
        return self.tools.token_costs(session.engine)

    def tool_policy(self, tool: Tool) -> str:
        """Return what the policy decides about a call of a tool, as a text."""
        return self.tools.policy_text(tool, self.approver, self.conversation.messages)

    # Settings and the end.

    def save_setting(self, key: str, value: object) -> None:
        """Change a setting, here and in config.toml, where comments stay; None removes it.

        Raises:
            UsageError: the value is invalid.
        """
        path = self.folders.config / "config.toml"
        config.save(path, key, value)
        self.settings = config.load(path)

    def allow_host(self, host: str) -> None:
        """Allow that conversations are sent to a host, now and in config.toml.

        Raises:
            UsageError: config.toml is invalid.
        """
        self.save_setting("allow_remote", (*self.settings.allow_remote, host))

    def setting_choices(self) -> dict[str, list[str]]:
        """Return the values of the settings that depend on the user's files."""
        from ...models import list_installed

        models = []
        with suppress(XlamError):
            models = [model.name for model in list_installed(self.store)]
        return {"model": models, "preset": sorted(self.settings.presets)}

    def abandon(self) -> None:
        """Save what a running turn has written, and close everything; the screen is gone."""
        if self.turn is not None:
            self.turn.cancel()
            self.turn.wait(ABANDON_TIMEOUT_S)
        self.conversation.close()  # first, as the model may take longer to end
        self.close()

    def close(self) -> None:
        """Close the model, the tools and the history."""
        if self.engine is not None:
            self.engine.close()
        self.tools.close()
        self.conversation.close()
