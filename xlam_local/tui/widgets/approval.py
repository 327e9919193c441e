"""The approval prompt below the conversation: what a call would do, and the user's answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from ...terminal_text import escape_blanks
from ...types import AllowAlways, AllowEdited, AllowOnce, ApprovalRequest, Decision, Deny
from ..rendering import blocks
from ..rendering.tool_call_card import ToolCallCard
from .text_viewer import TextViewer

if TYPE_CHECKING:
    from .arguments_editor import ArgumentsEdited

READ_DELAY_S = 0.4
"""No key answers for this long: the user may be typing when the prompt appears."""
DETAIL_COLUMNS = 80
MAX_DETAIL_LINES = 12
MAX_PERCENT = 70
"""How much of the height the prompt may take."""
LOW_LINES = 18
"""In a terminal with fewer lines, only the last line of the screen has the keys."""
NEW_FILE = " (new file)"
"""The end of a diff's name of a file that does not exist yet."""
DECISIONS: dict[str, Decision] = {
    "deny": Deny(),
    "once": AllowOnce(),
    "call": AllowAlways(exact_arguments=True),
    "tool": AllowAlways(),
    "call-always": AllowAlways(exact_arguments=True, permanent=True),
    "tool-always": AllowAlways(permanent=True),
}
KEY_HINTS = (
    "Allow? [b]\\[y][/] once, [b]\\[c][/] this call / [b]\\[t][/] this tool for this session, "
    "[b]\\[C][/]/[b]\\[T][/] always, [b]\\[n][/] no, [b]\\[r][/] no, with a reason, "
    "[b]\\[e][/] edit first"
)
SCROLL_HINTS = (
    "Read to the end before you allow it: [b]\\[↓][/], [b]\\[Space][/] or [b]\\[End][/]. "
    "[b]\\[n][/] no, [b]\\[r][/] no, with a reason, [b]\\[e][/] edit first"
)


@dataclass
class ApprovalAnswered(Message):
    """The user has answered an approval request."""

    decision: Decision


class Approval(Vertical, can_focus=True):
    """Shows everything that a call would do. Only letter keys allow it; Enter denies."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n,enter,escape", "answer('deny')", "Deny", id="approval.deny"),
        Binding("r", "reason", "Reason", id="approval.reason"),
        Binding("e", "edit", "Edit", id="approval.edit"),
        Binding("y", "answer('once')", "Once", id="approval.once"),
        Binding("c", "answer('call')", "Call", id="approval.call"),
        Binding("t", "answer('tool')", "Tool", id="approval.tool"),
        Binding("C", "answer('call-always')", "Always call", id="approval.call-always"),
        Binding("T", "answer('tool-always')", "Always tool", id="approval.tool-always"),
        Binding("down,j", "scroll_details(1)", "Down"),
        Binding("space", "scroll_details(10)", "Page down"),
        Binding("end", "scroll_to_end", "End"),
        Binding("up,k", "scroll_details(-1)", "Up", show=False),
    ]

    def __init__(self, request: ApprovalRequest) -> None:
        super().__init__()
        self.request = request
        self.shown_at = time.monotonic()
        self.seen_to_end = False
        """Whether the end of the details was on the screen."""

    def compose(self) -> ComposeResult:
        """Create the question, the details and the answers."""
        call, reason = self.request.call, self.request.reason
        yield Static(escape_blanks(f"Run {call.name}? {reason}"), id="question", markup=False)
        yield TextViewer(list(self._details()), id="details")
        yield Static(SCROLL_HINTS, id="answers")
        yield Input(placeholder="Why not? Press Enter to tell the model.", id="reason")

    def on_mount(self) -> None:
        """Notice when the end of the details is on the screen."""
        viewer = self.query_one(TextViewer)
        self.watch(viewer, "scroll_y", self._note_end, init=False)
        self.watch(viewer, "virtual_size", self._note_end, init=False)

    def on_resize(self) -> None:
        """Look again after the layout, which decides how much is visible."""
        self.set_class(self.app.size.height < LOW_LINES, "-low")
        self.call_after_refresh(self._fit_details)

    def _fit_details(self) -> None:
        """Give the details the lines that the other parts leave, so that all of them are seen."""
        if not self.is_attached:
            return
        room = self.screen.query_one("#conversation").size.height * MAX_PERCENT // 100 - 1
        for viewer in self.query(TextViewer):
            shown = [child for child in self.children if child.display and child is not viewer]
            others = sum(child.outer_size.height for child in shown)
            viewer.styles.max_height = max(1, min(MAX_DETAIL_LINES, room - others))
        self.call_after_refresh(self._note_end)

    def _note_end(self) -> None:
        if self.seen_to_end:
            return
        # A prompt that is being removed has already lost its children.
        for viewer in self.query(TextViewer):
            laid_out = viewer.size.height > 0 and viewer.virtual_size.height > 0
            is_whole = viewer.region.bottom <= self.content_region.bottom
            at_end = viewer.scroll_y >= viewer.max_scroll_y
            self.seen_to_end = laid_out and is_whole and at_end
        if self.seen_to_end:
            self.refresh_bindings()
            for answers in self.query("#answers").results(Static):
                answers.update(KEY_HINTS)

    def _details(self) -> list[blocks.Block]:
        """Return the preview of the call, if it has one, and the arguments that are not in it."""
        preview, arguments = self.request.preview, self.request.call.arguments
        card = ToolCallCard(self.request.call.name)
        card.expanded = True
        others = {name: value for name, value in arguments.items() if not shows(preview, value)}
        card.set_arguments(_with_blanks_shown(others))
        shown = list(card.blocks(DETAIL_COLUMNS))[1:]
        if not arguments:
            shown = blocks.text_blocks("(no arguments)", "muted")
        if not (preview := escape_blanks(preview)):
            return shown
        is_diff = "\n@@" in f"\n{preview}"
        before = blocks.diff_blocks(preview) if is_diff else blocks.text_blocks(preview)
        return [*before, blocks.Gap(), *shown] if shown else before

    @property
    def ready(self) -> bool:
        """Whether keys allow the call now: its details were on the screen, for long enough."""
        return self.seen_to_end and self.delay_is_over

    @property
    def delay_is_over(self) -> bool:
        """Whether keys that the user typed before the prompt appeared have arrived."""
        return time.monotonic() - self.shown_at >= READ_DELAY_S

    def action_answer(self, answer: str) -> None:
        """Deny the call, or allow it if the user has had the time to read it."""
        if self.ready or (answer == "deny" and self.delay_is_over):
            self.post_message(ApprovalAnswered(DECISIONS[answer]))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key applies now: nothing is allowed before the details were read."""
        if self.query("ArgumentsEditor"):
            return False
        return action != "answer" or parameters == ("deny",) or self.seen_to_end

    def action_reason(self) -> None:
        """Ask for the reason that the model will read."""
        if not self.delay_is_over:
            return
        field = self.query_one("#reason", Input)
        field.add_class("shown")
        field.focus()

    def action_edit(self) -> None:
        """Let the user edit the arguments."""
        if self.delay_is_over:
            # Validating loads the schema package, which the start of the app does not need.
            from .arguments_editor import ArgumentsEditor

            self.add_class("-editing")
            self.mount(ArgumentsEditor(self.request))

    def on_arguments_edited(self, edited: ArgumentsEdited) -> None:
        """Pass the arguments on, or return to the question."""
        edited.stop()
        if edited.arguments is not None:
            self.post_message(ApprovalAnswered(AllowEdited(edited.arguments)))
            return
        self.query("ArgumentsEditor").remove()
        self.remove_class("-editing")
        self.focus()

    @on(Input.Submitted)
    def deny_with_reason(self, submitted: Input.Submitted) -> None:
        """Deny the call with the reason that the user has typed."""
        submitted.stop()
        self.post_message(ApprovalAnswered(Deny(submitted.value.strip())))

    def action_scroll_details(self, lines: int) -> None:
        """Scroll the details."""
        self.query_one(TextViewer).scroll_relative(y=lines, animate=False)

    def action_scroll_to_end(self) -> None:
        """Show the end of the details."""
        self.query_one(TextViewer).scroll_end(animate=False)


def shows(preview: str, value: Any) -> bool:
    """Return whether a preview shows the value of an argument in full.

    It does if the value is one of its lines, such as a command or the name of a file, or all the
    lines that a diff adds or removes.
    """
    if not isinstance(value, str) or not value.strip():
        return False
    heads = ("+++ ", "--- ")
    names = {line[4:].removesuffix(NEW_FILE) for line in preview.split("\n") if line[:4] in heads}
    lines = [line for line in preview.split("\n") if line[:4] not in heads]
    changed = {"\n".join(line[1:] for line in lines if line[:1] == sign) for sign in "+-"}
    return value in names.union(lines) or value.removesuffix("\n") in changed


def _with_blanks_shown(value: Any) -> Any:
    """Return a JSON value with the characters in its texts that look blank as escapes."""
    match value:
        case str():
            return escape_blanks(value)
        case Mapping():
            return {escape_blanks(key): _with_blanks_shown(item) for key, item in value.items()}
        case list() | tuple():
            return [_with_blanks_shown(item) for item in value]
    return value
