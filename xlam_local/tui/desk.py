"""What the app works with: the model, its tools, the conversation and where it is kept."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .. import config
from ..config import Config, Folders
from ..errors import HistoryError, ModelMissing, UsageError
from ..types import Event, Loading, Message, Note, Result, System, ToolCall, User

if TYPE_CHECKING:
    from ..agent import Rules
    from ..fit import Machine
    from ..history import Conversation, History, Summary
    from ..models import Store
    from ..session import Session
    from .loaded import Loaded
    from .toolset import Toolset


Opening = Callable[[str | None], Generator[Loading | Note, None, "Loaded"]]


@dataclass
class Desk:
    """The state of the app that is no matter of the screen."""

    folders: Folders
    settings: Config
    folder: Path
    """What the tools see."""
    opening: Opening
    """Loads the model of that name, or the user's own choice."""
    tools: Toolset
    machine: Callable[[], Machine]
    """Measures this machine; that takes a while."""
    model: str | None = None
    ephemeral: bool = False
    """Whether nothing of the conversation is written down."""
    notes: tuple[str, ...] = ()
    """What the user is told at the start."""
    engine: Loaded | None = None
    session: Session | None = None
    history: History | None = None
    opened: bool = False
    """Whether the history was opened, or it is clear that there is none."""
    _kept: Conversation | None = field(default=None, repr=False)

    def open_history(self) -> list[str]:
        """Open the history; sentences for the user about what is not as it should be."""
        from ..history import History

        if self.ephemeral:
            self.opened = True
            return []
        try:
            self.history = History(self.folders.data / "history.db")
        except HistoryError as error:
            return [f"{error} This conversation is not kept."]
        finally:
            self.opened = True
        return [self.history.note] if self.history.note else []

    def load(self, name: str | None) -> Generator[Loading | Note, None, None]:
        """Load a model, and let it go on with the conversation."""
        if self.engine is not None:
            # Two models together may not fit. It starts again by itself, should this one fail.
            self.engine.close()
        engine = yield from self.opening(name)
        # What draws an answer is read in now, and not when the model has begun to write.
        from . import markdown  # noqa: F401

        if self.session is None:
            self.session = self._begun(engine)
        self.engine = self.session.engine = engine
        if self._kept is not None:
            self._kept.model = engine.name

    def _begun(self, engine: Loaded) -> Session:
        from ..consent import NAME, Consent
        from ..session import Session

        session = Session(engine, self.tools.offered(), rules=self._rules())
        session.consent = Consent.open(self.folders.config / NAME, self.folder)
        return session

    def _rules(self) -> Rules:
        from ..agent import Rules
        from ..types import Sampling

        settings = self.settings
        return Rules(
            max_steps=settings.max_steps,
            sampling=Sampling(temperature=settings.temperature, max_tokens=settings.max_tokens),
            seconds=settings.turn_seconds,
            tokens=settings.turn_tokens,
            strict_context=settings.strict_context,
        )

    @property
    def talk(self) -> Session:
        """The session, where there is a model."""
        if self.session is None:
            raise ModelMissing("There is no model yet.")
        return self.session

    def turn(self, text: str) -> Generator[Event, None, None]:
        """A turn, with the tools as their files are now."""
        yield from self._ready().send(text)

    def repeat(self, call: ToolCall) -> Generator[Event, None, None]:
        """A call once more, with the tools as their files are now."""
        yield from self._ready().repeat(call)

    def _ready(self) -> Session:
        self.talk.tools = self.tools.offered()
        self.talk.rules = self._rules()
        return self.talk

    def keep(self) -> None:
        """Write the conversation down from now on, if it is not yet and can be."""
        if self._kept is None and self.history is not None and self.session is not None:
            self._kept = self.history.begin()
            self._keep(self.session)

    def _keep(self, session: Session) -> None:
        if self._kept is not None:
            self._kept.model = session.engine.name
            self._kept.folder = str(self.folder)
        session.keeper = self._kept

    @property
    def messages(self) -> Sequence[Message]:
        """The conversation so far."""
        return self.session.messages if self.session is not None else ()

    @property
    def number(self) -> int | None:
        """The conversation's number in the history, once something is written down."""
        return self._kept.id if self._kept is not None else None

    def copied(self) -> bool:
        """Whether another program went on with the conversation; asked once, it is forgotten."""
        if self._kept is None or not self._kept.split:
            return False
        self._kept.split = False
        return True

    @property
    def store(self) -> Store:
        """Where models are kept."""
        from ..models import Store

        return Store.under(self.folders.config, self.folders.data)

    def begin_anew(self) -> None:
        """Put the conversation away and begin another."""
        if self.session is not None:
            self.session.messages[:] = [m for m in self.messages[:1] if isinstance(m, System)]
            self._kept = None if self.history is None else self.history.begin()
            self._keep(self.session)

    def resume(self, number: int) -> list[Message]:
        """Go on with a conversation of the history."""
        assert self.history is not None
        kept, messages = self.history.resume(number)
        self._kept = kept
        self.talk.messages[:] = messages
        self._keep(self.talk)
        return messages

    def rewind(self, place: int) -> None:
        """Take back the messages from `place` on, here and in the history."""
        del self.talk.messages[place:]
        if self._kept is not None:
            self._kept.rewind(place)

    def branch(self, place: int) -> None:
        """Go on in a copy of the conversation up to `place`; the conversation itself stays."""
        while place < len(self.messages) and isinstance(self.messages[place], Result):
            place += 1
        if self.history is None or self.number is None:
            del self.talk.messages[place:]
            return
        self.resume(self.history.branch(self.number, place))

    def replace(self, place: int) -> None:
        """Take back the messages from `place` on; what would be lost for good stays as a copy."""
        later = [m for m in self.messages[place + 1 :] if isinstance(m, User)]
        if later and self.history is not None and self.number is not None:
            self.history.branch(self.number, len(self.messages))
        self.rewind(place)

    def title(self) -> str:
        """What the conversation is called."""
        if self.history is None or self.number is None:
            return ""
        return self.history.get(self.number).title

    def said_before(self) -> list[str]:
        """What the user said in earlier conversations, the oldest first."""
        return [] if self.history is None else self.history.said()

    def export(self, name: str) -> Path:
        """Write the conversation to a file, whose name's end says in which form; where it is."""
        return _written(self._summary(), self.messages, self.folder, name)

    def export_one(self, number: int) -> Path:
        """Write a conversation of the history into the working folder, as Markdown."""
        assert self.history is not None
        return _written(self.history.get(number), self.history.messages(number), self.folder, "")

    def take(self, path: Path) -> None:
        """Go on with a conversation from a file."""
        from ..history import exports

        talk = self.talk
        try:
            title, messages = exports.read((self.folder / path).read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not a text file.") from error
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
        if self.history is None:
            talk.messages[:] = messages
        else:
            self.resume(self.history.take(title, messages))

    def settle(self, key: str, value: object) -> None:
        """Change a setting, here and in the user's file, whose comments stay."""
        config.save(self.folders.config / "config.toml", key, value)
        self.settings = config.load(self.folders.config / "config.toml")

    def _summary(self) -> Summary:
        from ..history import Summary
        from ..history.store import title_of

        if self.history is not None and self.number is not None:
            return self.history.get(self.number)
        now, model = time.time(), self.session.engine.name if self.session else ""
        return Summary(0, title_of(self.messages), now, now, model)

    def close(self) -> None:
        """Let go of the model and of the history."""
        if self.engine is not None:
            self.engine.close()
        self.tools.close()
        if self.history is not None:
            self.history.close()


def _written(summary: Summary, messages: Sequence[Message], folder: Path, name: str) -> Path:
    from ..history import exports

    path = folder / Path(name or f"{_file_name(summary.title)}.md").expanduser()
    if (form := exports.ENDINGS.get(path.suffix)) is None:
        raise UsageError(f"{path.name} has to end in {', '.join(exports.ENDINGS)}.")
    text = exports.export(summary, messages, form)
    try:
        with path.open("x", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already; say another name: /export NAME.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def _file_name(title: str) -> str:
    """A title as a file's name."""
    return re.sub(r"[^\w-]+", "-", title).strip("-")[:60].lower() or "conversation"
