"""The prompt with its list of completions."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from ..commands import COMMANDS_BY_NAME
from ..rendering.renderer import safe_text
from .completions import Completions, complete
from .prompt_input import CompletionChosen, PromptChanged, PromptInput, PromptSubmitted


class PromptArea(Vertical):
    """Completes what the user types: commands, and the files of a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.completions = Completions()
        shown_folder = safe_text(str(folder))
        self.prompt = PromptInput(f"Ask something. / for commands, @ for files in {shown_folder}")

        self._frame = Vertical(self.prompt, id="prompt")

    def compose(self) -> ComposeResult:
        """Place the prompt below its completions."""
        yield self.completions
        yield self._frame

    def show_tool_choice(self, choice: str) -> None:
        """Show the tool choice of the next message above the prompt, unless it is the default."""
        shown = "" if choice == "auto" else f"tool choice: {choice}"
        self._frame.border_title = escape(safe_text(shown))

    @on(PromptChanged)
    def update_completions(self, changed: PromptChanged) -> None:
        """Show the completions of what the user has typed."""
        self._show_completions(changed.text, changed.before)

    def _show_completions(self, text: str, before: str) -> None:
        word, choices = complete(text, before, self.folder)
        self.completions.show_choices(word, choices)
        self.prompt.completing = bool(choices)

    @on(CompletionChosen)
    def choose_completion(self, chosen: CompletionChosen) -> None:
        """Move among the completions, accept one, or hide them."""
        before = self.prompt.text_before_cursor
        if not before.endswith(self.completions.word):
            # Keys that were typed quickly arrive before the completions of the text are shown.
            self._show_completions(self.prompt.text, before)
            if chosen.submit and not self.prompt.completing:
                self.prompt.call_later(self.prompt.action_submit)
                return
        if chosen.step:
            self.completions.move(chosen.step)
            return
        word = self.completions.word
        completion = self.completions.take()
        self.prompt.completing = False
        if completion is None or not chosen.accept:
            return
        end = "" if completion.word.endswith("/") else " "
        self.prompt.complete(word, completion.word + end)
        is_command = completion.word.startswith("/")
        command = COMMANDS_BY_NAME.get(completion.word[1:]) if is_command else None
        if command is not None and not command.argument:
            # A message does not bubble beyond its sender, so the prompt itself has to send it.
            self.prompt.call_later(self.prompt.action_submit)

    @on(PromptSubmitted)
    def hide_completions(self) -> None:
        """Hide the completions."""
        self.completions.show_choices("", ())
        self.prompt.completing = False
