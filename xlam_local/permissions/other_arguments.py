"""Paths and hosts in arguments whose names do not show that they are paths or hosts.

A rule that allows a folder or a host must hold for everything that a call reaches, so every text
in the arguments is looked at. What cannot be classified is not allowed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path
from typing import Any

from ..ip_addresses import ipv4_readings, parse_address
from .call_details import CallDetails
from .context import runs_code
from .executed_files import words
from .hosts import HostTarget, host_target
from .patterns import MAX_PATH_CHARACTERS
from .targets import BUILT_IN, argument_schemas, strings_in

_CONTENT_ARGUMENT = re.compile(
    r"(.*_)?(text|content|contents|body|note|notes|message|subject|title|description|summary"
    r"|comment|question|query|pattern|expression|prompt|old|new|name|names|lines|format)"
)
"""Names of arguments that are stored, searched for or computed with."""
_PLACE_WORDS = frozenset(
    (
        *("to", "from", "into", "onto", "target", "targets", "output", "outputs", "out", "outfile"),
        *("input", "infile", "src", "dst", "dest", "save", "export", "import", "upload"),
        *("download", "callback", "webhook", "hook", "redirect", "forward", "notify", "recipient"),
        *("recipients", "cc", "bcc", "remote", "server", "proxy", "origin", "mirror", "upstream"),
        *("sink", "filepath", "pathname", "dirname", "basename", "filespec", "location"),
        *("attachment", "attachments", "archive", "backup", "log", "logfile", "config", "script"),
        *("include", "template", "certificate", "cert", "keyfile", "database", "db", "volume"),
        *("mount", "bucket", "repo", "repository", "workspace", "site", "ip", "addr", "peer"),
        "gateway",
    )
)
"""Words in names of arguments that are places to read from, to write to or to send to."""
_HOST = re.compile(
    r"(?i)(?:[^@\s/]+@)?"
    r"(?:localhost|\[[0-9a-f:.%]+\]|(?:[^\s./@:*]+\.)+(?:[^\W\d_]{2,}|xn--[\w-]+|\d+|0x[0-9a-f]*))"
    r"\.?(?::[^\s/]*)?(?:[/?#].*)?"
    r"|[\w-]+:\d{1,5}(?:/.*)?|[^@\s/]+@[^@\s/]+"
)
"""A host, an address or an email address, without the scheme of a URL."""
_URL = re.compile(
    r"(?i)\w[\w+.-]*://.*|(?:https?|wss?|s?ftp|file|mailto|ssh|git|svn|rsync|s3|gs|smb|ldaps?|data"
    r"|gopher|dict|tftp|javascript|jar|jdbc|nfs|telnet|unix|urn|view-source):.+",
    re.DOTALL,
)
"""A URL, also in a form that is repaired by browsers, or that programs read as a file."""
_FILE_SCHEMES = ("file:", "jar:", "view-source:")
_EXPANDED = re.compile(r"^~|[$%\\]|^@.*[/.]")
_PREFIX = re.compile(r"-+\w(?=[/~.])|[-@+:!^]+")
"""What can stand before a path in an option: `-o/x`, `@/x`."""
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|%\w+%")
_FILE = re.compile(
    r"(?i)[^/\s]+\.(txt|md|rst|py|js|ts|json|jsonl|csv|tsv|toml|ya?ml|xml|html?|css|pdf|png|jpe?g"
    r"|gif|svg|log|ini|cfg|conf|sql|db|sqlite|zip|gz|tar|docx?|xlsx?|pptx?|[ch]|cpp|rs|go|java)"
)


@dataclass(frozen=True, slots=True)
class _Text:
    """A text in an argument, or a part of one."""

    text: str
    is_place: bool
    """Whether the argument is named for a place, so that any word can be a path or a host."""


def other_paths(call: CallDetails, judged: Collection[str] = ()) -> Iterator[Path | None]:
    """Yield what could be a path in arguments that are not named as one.

    Arguments named in `judged` are left out. None stands for a path that is not known.
    """
    for one in _other_texts(call, judged):
        if _URL.fullmatch(one.text):
            if "://" not in one.text or one.text.lower().startswith(_FILE_SCHEMES):
                yield None
            continue
        resolved = call.path_target(one.text).resolved
        if one.is_place or _may_be_path(one.text) or _is_link(one.text, resolved, call):
            # A tool may expand what a shell expands, and read the file that follows an `@`.
            yield None if _EXPANDED.search(one.text) else resolved


def urls_of_files(call: CallDetails) -> Iterator[Path | None]:
    """Yield what arguments that are named as a URL or host could name instead: a path."""
    for name, value in call.arguments.items():
        if call.kind(name) != "url":
            continue
        for text in strings_in(value):
            if text.lower().startswith(_FILE_SCHEMES):
                yield None
            elif not _URL.fullmatch(text) and _may_be_path(text):
                yield None if _EXPANDED.search(text) else call.path_target(text).resolved


def other_hosts(
    call: CallDetails, judged: Collection[str] = (), any_word: bool = False
) -> Iterator[HostTarget]:
    """Yield what could be a host in arguments that are not named as one, as `other_paths` does.

    With `any_word`, that is every word of an argument that is named for a place.
    """
    for one in _other_texts(call, judged):
        text = unicodedata.normalize("NFKC", one.text).replace("\u3002", ".")
        if _URL.fullmatch(one.text):
            yield host_target(one.text)
        elif _FILE.fullmatch(text):
            continue
        elif _HOST.fullmatch(text) or parse_address(text) or (one.is_place and _is_number(text)):
            yield host_target(text.rpartition("@")[2])
        elif any_word and one.is_place and not any(map(str.isspace, text)):
            yield host_target(text)


def names_place(name: str) -> bool:
    """Return whether an argument is named for a place to read from, write to or send to."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return not _PLACE_WORDS.isdisjoint(re.split(r"[^a-z]+", snake))


def possible_files(call: CallDetails) -> Iterator[tuple[str, Path | None]]:
    """Yield every text that a call may open as a file, with its resolved path.

    For a program and a server these are all words of the arguments; for another tool, its paths and
    the texts that are not named as content.
    """
    if runs_code(call.tool):
        cwd = call.context.cwd
        yield from ((text, path and cwd / path) for text, path in call.named_paths())
    else:
        yield from ((target.text, target.resolved) for target in call.targets.paths)
        for one in _other_texts(call, ()):
            yield one.text, call.path_target(one.text).resolved


def _other_texts(call: CallDetails, judged: Collection[str]) -> Iterator[_Text]:
    if call.tool.deterministic:
        return
    for name, value in call.arguments.items():
        if name in judged or is_choice(name, value, call):
            continue
        if name not in argument_schemas(call.tool):
            yield from (_Text(part, is_place=False) for part in _parts(name))
        if call.kind(name) != "text":
            for key in _keys(value):
                yield from (_Text(part, is_place=True) for part in _parts(key))
            continue
        is_content = isinstance(value, str) and _CONTENT_ARGUMENT.fullmatch(name.lower())
        if is_content and (call.tool.source == BUILT_IN or not _names_only_places(value)):
            continue  # it is stored or searched for
        for inner, text in _named_texts(name, value):
            is_place = names_place(inner)
            for part in _parts(text):
                yield _Text(part, is_place)


def _names_only_places(text: str) -> bool:
    """Return whether each word of a text could be a path or a host."""
    tokens = [token for token in re.split(r"[\s,;]+", text) if token]
    return len(text.split()) == 1 or all(
        _URL.fullmatch(token) or _HOST.fullmatch(token) or _may_be_path(token) for token in tokens
    )


def is_choice(name: str, value: Any, call: CallDetails) -> bool:
    """Return whether the schema lists the values, so that the model cannot name a place."""
    schema = argument_schemas(call.tool).get(name)
    choices = schema.get("enum") if isinstance(schema, dict) else None
    return isinstance(choices, list) and value in choices


def _named_texts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the strings within a value, keys included, with the name of the nearest argument."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield name, key
            yield from _named_texts(key, item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _named_texts(name, item)
    else:
        yield from ((name, text) for text in strings_in(value))


def _keys(value: Any) -> Iterator[str]:
    """Yield all keys within a value; the strings of a path or host are judged by its kind."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _keys(item)


def _parts(text: str) -> Iterator[str]:
    """Yield a text and the words in it, without what stands before a path in an option."""
    seen: set[str] = set()
    plain = unicodedata.normalize("NFKC", text)  # a tool may do that, too
    for token in (text.strip(), *text.split(), *([] if plain == text else plain.split())):
        for word in [token] if _URL.fullmatch(token) else [token, *words(token)]:
            for part in (word, _PREFIX.sub("", word, count=1) if _PREFIX.match(word) else word):
                if part and part not in seen:
                    seen.add(part)
                    yield part


def _is_link(text: str, resolved: Path | None, call: CallDetails) -> bool:
    """Return whether a word is a link, which leads elsewhere than its name says."""
    if len(text) > MAX_PATH_CHARACTERS or "\n" in text:
        return False
    return resolved != Path(normpath(Path(call.tool.cwd or call.context.cwd) / text))


def _is_number(text: str) -> bool:
    """Return whether a text is an address in one number, as in http://2130706433."""
    return len(text) >= 8 and bool(ipv4_readings(text.lower()))


def _may_be_path(text: str) -> bool:
    return (
        text.startswith(("/", "~", ".", "\\\\"))
        or "/" in text
        or ".." in text
        or _WINDOWS_PATH.match(text) is not None
        or _FILE.fullmatch(text) is not None
    )
