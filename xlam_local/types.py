"""The values of a conversation: tools, calls, messages, decisions and events."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from enum import Enum
from typing import Any, Literal

Schema = Mapping[str, Any]


class Effect(Enum):
    """What a tool can do when it runs."""

    READ = "read"
    WRITE = "write"
    EXECUTE = "execute"
    NETWORK = "network"


class Sandbox(Enum):
    """How a tool is confined while it runs, from the weakest level to the strongest."""

    NONE = "none"
    LIMITS = "limits"
    """Limits on time, memory, output and environment variables."""
    ISOLATED = "isolated"
    """The limits, a read-only file system and no network."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model can call."""

    name: str
    description: str
    parameters: Schema
    """The JSON Schema of the arguments object."""
    effect: Effect = Effect.EXECUTE
    run: Callable[..., object] | None = None
    """The function, called with the arguments as keywords; None if the caller runs the tool."""
    preview: Callable[..., str] | None = None
    """Returns what a call would do, from its arguments: a diff, a command line, a host."""
    sandbox: Sandbox = Sandbox.NONE
    cwd: str = ""
    """The folder in which relative paths of its arguments are; empty for the working folder."""
    public: bool = False
    """Whether the tool reads only what anyone can read, such as public web pages."""
    network: bool = False
    """Whether an isolated tool can use the network; one that is not isolated always can."""
    source: str = ""
    """The origin of the tool: built-in, a file, a server."""
    file: str = ""
    """The full path of the file that defines the tool, or empty."""
    original_name: str = ""
    """The name in its source, if it has another one because of a clash."""
    content_hash: str = ""
    """The hash of what the user trusted: the file with the programs that it runs, or the launch and
    the listing of a server's tool. Empty for built-in tools."""
    timeout: float = 60.0
    """Seconds that a call may take; `run` enforces it."""
    deterministic: bool = False
    """Whether the result depends on nothing but the arguments and the time."""
    cancel: Callable[[], None] | None = None
    """Stops the running calls when the user cancels the turn."""
    unread_keys: tuple[str, ...] = ()
    """Keys of its definition that have no effect, as JSON pointers."""
    function: Callable[..., Any] | None = None
    """The Python function that was decorated, which the tool calls when it is called itself."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the decorated function, as if it were not decorated.

        Raises:
            TypeError: the tool was not made of a Python function.
        """
        if self.function is None:
            raise TypeError(f"The tool {self.name!r} was not made of a Python function; use `run`.")
        return self.function(*arguments, **keywords)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call, as the model wrote it."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SystemMessage:
    """Instructions to the model."""

    text: str


@dataclass(frozen=True, slots=True)
class UserMessage:
    """A message of the user."""

    text: str
    attachments: tuple[str, ...] = ()
    """The names of the files whose content the text contains."""


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """A reply without calls."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """A reply that calls tools."""

    calls: tuple[ToolCall, ...]
    text: str = ""
    """The text around the calls; later prompts omit it, as xLAM's format has no place for it."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of one call."""

    call: ToolCall
    output: str
    ok: bool = True
    refused: bool = False
    """Whether the user or the policy denied the call."""
    skipped: bool = False
    """Whether the call did not run because it repeats an earlier one."""


Reply = AssistantMessage | ToolCalls
Message = SystemMessage | UserMessage | AssistantMessage | ToolCalls | ToolResult


@dataclass(frozen=True, slots=True)
class AllowOnce:
    """Approve this one call."""


@dataclass(frozen=True, slots=True)
class AllowAlways:
    """Approve the calls of this tool from now on."""

    exact_arguments: bool = False
    """Approve only calls with exactly these arguments."""
    permanent: bool = False
    """Save the approval in policy.toml; otherwise it ends with the session."""


@dataclass(frozen=True, slots=True)
class AllowEdited:
    """Run the call with other arguments; the policy and the user decide on that call again."""

    arguments: Mapping[str, Any]
    """All arguments. If they are those of the call, it is approved once."""


@dataclass(frozen=True, slots=True)
class Deny:
    """Deny the call; the model reads the reason."""

    reason: str = ""


Decision = AllowOnce | AllowAlways | AllowEdited | Deny
Approve = Callable[[Tool, ToolCall], Decision]


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A call that needs the user's approval."""

    tool: Tool
    call: ToolCall
    reason: str = ""
    """Why the call needs approval, as a sentence."""
    preview: str = ""
    """What the call would do: a diff, a command line, a host; or empty."""
    tainted: bool = False
    """Whether the call needs approval because it could send data that a tool has read."""


AskUser = Callable[[ApprovalRequest], Decision]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and seconds of one generation, or of all generations of a turn."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that were in the KV cache."""
    reply_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    drafted_tokens: int = 0
    """Tokens proposed by speculative decoding."""
    accepted_tokens: int = 0
    """Proposed tokens that the model accepted."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(*map(operator.add, astuple(self), astuple(other)))

    @property
    def decode_speed(self) -> float:
        """Reply tokens per second."""
        return self.reply_tokens / self.decode_seconds if self.decode_seconds else 0.0


@dataclass(frozen=True, slots=True)
class PrefillProgress:
    """How many tokens of the prompt the model has read."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """The share of a model that is loaded, from 0 to 1."""

    done: float


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing happened for a moment; the consumer of the turn can cancel it here."""


@dataclass(frozen=True, slots=True)
class ContextUsage:
    """How the context window is used, in tokens."""

    system: int
    tools: int
    history: int
    free: int
    dropped_turns: int = 0
    """The number of oldest turns that the model no longer reads."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token, and how likely the model found it in its place."""

    data: bytes
    """The token's text in UTF-8, which may be a part of a character."""
    logprob: float | None
    """The natural logarithm of its probability among all tokens, whatever the sampling and the
    grammar allow; None for the first token of a prompt."""
    alternatives: tuple[TokenLogprob, ...] = ()
    """The most likely tokens in this place, the first one first."""


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """The tokens of the text that an engine yields next."""

    tokens: tuple[TokenLogprob, ...]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A part of an answer, as the model writes it."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    """Its tokens, if `Sampling.logprobs` is set."""


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A part of the JSON of calls, as the model writes it."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    """Its tokens, if `Sampling.logprobs` is set."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to the user, as a sentence."""

    text: str


FinishReason = Literal[
    "stop",
    "tool_calls",
    "length",
    "invalid_tool_calls",
    "max_steps",
    "loop",
    "repeated_error",
    "timeout",
    "token_budget",
    "cancelled",
]
"""The finish reason: why a turn ended. The first three are OpenAI's.

`errors.FINISH_ERRORS` has the failures.
"""


@dataclass(frozen=True, slots=True)
class Done:
    """The last event of a turn."""

    finish_reason: FinishReason
    usage: Usage = Usage()
    answered: bool = False
    """Whether the model answered in a last reply without calls after a limit was reached."""


@dataclass(frozen=True, slots=True)
class GenerationEnd:
    """The end of a generation: the model stopped, or reached a token limit."""

    truncated: bool = False
    usage: Usage = Usage()
    threads: int = 0
    """The CPU threads that computed the last token; 0 if unknown."""


Event = (
    PrefillProgress | ContextUsage | Heartbeat | TextDelta | ToolCallDelta | Message | Notice | Done
)


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A part of a prompt; special tokens in its text are recognized only if `special` is set."""

    text: str
    special: bool = False


Prompt = tuple[PromptPart, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are sampled. The default is greedy decoding, as in xLAM's published scores."""

    temperature: float = 0.0
    """0 always takes the most likely token."""
    top_k: int = 0
    """Sample from this many most likely tokens; 0 means all."""
    top_p: float = 1.0
    """Sample from the most likely tokens whose probabilities add up to this."""
    min_p: float = 0.0
    """Sample from tokens with at least this share of the most likely token's probability."""
    repeat_penalty: float = 1.0
    """Divisor for the logits of recent tokens; 1 has no effect."""
    repeat_last_n: int = 64
    """How many of the last tokens, of prompt and reply, the repeat penalty applies to."""
    stop: tuple[str, ...] = ()
    """Texts before which an answer ends; they are not part of it. They do not end tool calls."""
    seed: int = 0
    """The same seed leads to the same reply if the same part of the prompt is in the KV cache."""
    max_tokens: int = 1024
    """The maximum number of tokens in one reply."""
    logprobs: int | None = None
    """Return the log probability of each token, with this many of the most likely tokens in its
    place; None returns none."""
    prompt_logprobs: bool = False
    """Return those of the prompt too, before the reply; then nothing of it is taken from a
    cache."""
