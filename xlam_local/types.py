"""The nouns of a conversation: tools, calls, messages, events."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from enum import Enum
from typing import Any, Literal

Schema = Mapping[str, Any]


class Effect(Enum):
    """What running a tool can do."""

    READ = "read"
    WRITE = "write"
    EXECUTE = "execute"
    NETWORK = "network"


class Sandbox(Enum):
    """What holds a tool while it runs, the weakest first."""

    NONE = "none"
    LIMITS = "limits"
    """Time, memory, output and environment are limited."""
    ISOLATED = "isolated"
    """Limits, a read-only system and no network besides."""


@dataclass(frozen=True, slots=True)
class Tool:
    """Something the model can call."""

    name: str
    description: str
    parameters: Schema
    """JSON Schema of the arguments object."""
    effect: Effect = Effect.EXECUTE
    run: Callable[..., object] | None = None
    """The function behind the tool, or None when the caller runs it."""
    preview: Callable[..., str] | None = None
    """Tells from the arguments what a call would do: a diff, a command line, a host."""
    sandbox: Sandbox = Sandbox.NONE
    source: str = ""
    """Where the tool comes from: built-in, a file, a server."""
    place: str = ""
    """The file that it stands in, whole, if it comes from one."""
    seconds: float = 60.0
    """How long a call may take; `run` ends it then."""
    pure: bool = False
    """Whether its result tells nothing but what follows from its arguments, and the time."""
    stop: Callable[[], None] | None = None
    """Ends the calls that are running, when the user no longer waits for them."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call, as the model wrote it."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class System:
    """Instructions that stand before the conversation."""

    text: str


@dataclass(frozen=True, slots=True)
class User:
    """What the user says."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply in words."""

    text: str


@dataclass(frozen=True, slots=True)
class Calls:
    """A reply that calls tools."""

    calls: tuple[ToolCall, ...]
    text: str = ""
    """What stood beside the calls. xLAM's format has no place for it, so no prompt repeats it."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one call."""

    call: ToolCall
    output: str
    ok: bool = True
    refused: bool = False
    """Whether the tool was not let run."""


Reply = Answer | Calls
Message = System | User | Answer | Calls | Result


@dataclass(frozen=True, slots=True)
class Once:
    """The user lets this one call run."""


@dataclass(frozen=True, slots=True)
class Always:
    """The user lets this tool run from now on."""

    exact: bool = False
    """Only with the very same arguments."""
    keep: bool = False
    """For good, not only until the session ends."""


@dataclass(frozen=True, slots=True)
class No:
    """The user refuses the call; the model reads the reason."""

    reason: str = ""


Decision = Once | Always | No
Approve = Callable[[Tool, ToolCall], Decision]


@dataclass(frozen=True, slots=True)
class Question:
    """A call that may run only if the user lets it."""

    tool: Tool
    call: ToolCall
    why: str = ""
    """Why it has to be asked, as a sentence."""
    preview: str = ""
    """What the call would do: a diff, a command line, a host."""
    tainted: bool = False
    """Whether it is asked, or asked again, because the call could carry away what was read."""


Ask = Callable[[Question], Decision]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and seconds that went into a generation, or into all those of a turn."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens whose KV was there already."""
    reply_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    drafted_tokens: int = 0
    """Tokens that were guessed from the prompt."""
    accepted_tokens: int = 0
    """Guessed tokens that were right."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(*map(operator.add, astuple(self), astuple(other)))

    @property
    def decode_speed(self) -> float:
        """Reply tokens a second."""
        return self.reply_tokens / self.decode_seconds if self.decode_seconds else 0.0


@dataclass(frozen=True, slots=True)
class Prefill:
    """How much of the prompt the model has read, in tokens."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Loading:
    """How much of a model is loaded, from 0 to 1."""

    done: float


@dataclass(frozen=True, slots=True)
class Tick:
    """Nothing new for a moment: whoever follows a turn can cancel it here."""


@dataclass(frozen=True, slots=True)
class Meter:
    """What the context holds, in tokens."""

    system: int
    tools: int
    history: int
    free: int
    left_out: int = 0
    """The oldest turns, which the model no longer reads."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer, as it is written."""

    text: str


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A piece of the JSON of calls, as it is written."""

    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the user should know of, in a sentence."""

    text: str


Reason = Literal[
    "answer",
    "calls",
    "cut",
    "broken",
    "steps",
    "loop",
    "errors",
    "time",
    "tokens",
    "cancelled",
]


@dataclass(frozen=True, slots=True)
class Done:
    """The last event of a turn."""

    reason: Reason
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class End:
    """How a generation ended: the model stopped, or ran out of room."""

    cut: bool = False
    usage: Usage = Usage()


Event = Prefill | Meter | Tick | Delta | CallDelta | Message | Note | Done


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a prompt, with text that is special only where the template says so."""

    text: str
    special: bool = False


Prompt = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. The defaults are greedy, as xLAM's scores were measured."""

    temperature: float = 0.0
    """0 takes the most likely token."""
    top_k: int = 0
    """How many of the likeliest tokens stay; 0 keeps all."""
    top_p: float = 1.0
    """The likeliest tokens that together reach this probability stay."""
    min_p: float = 0.0
    """Tokens stay that are at least this share of the likeliest one's probability."""
    repeat_penalty: float = 1.0
    """What the logits of the last tokens are divided by; 1 leaves them."""
    seed: int = 0
    max_tokens: int = 1024
    """The most tokens in one reply."""
