"""Files whose content other programs execute, such as Git hooks and shell start-up files.

A tool that can write such a file can run code later, with the user's rights and outside every
sandbox. So a call that may write one always needs approval.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from pathlib import Path, PurePath

from .patterns import normalize

EXECUTED_FILES = (
    # Version control: configuration, hooks, filters and the commands of submodules.
    *(".git", ".hg", ".svn", ".jj", ".gitconfig", ".config/git", ".gitattributes", ".gitmodules"),
    *(".githooks", ".husky", ".lefthook", "lefthook.y*ml", ".pre-commit-config.yaml"),
    # Continuous integration.
    *(".github", ".gitlab", ".gitlab-ci.yml", ".circleci", ".travis.yml", ".woodpecker*"),
    *("azure-pipelines.yml", "bitbucket-pipelines.yml", "jenkinsfile", ".buildkite"),
    # Programs that run when a folder is entered or opened.
    *(".envrc", ".direnv", ".env.fish", ".vscode", ".idea", ".fleet", ".zed", ".cursor"),
    *(".devcontainer", ".devcontainer.json", "*.code-workspace", "*.sublime-project"),
    *(".dir-locals.el", ".nvim.lua", ".nvimrc", ".exrc", ".vimrc", ".gdbinit", ".lldbinit"),
    *(".claude", ".mcp.json", "mcp.json", ".gemini", ".codex", ".aider*", ".continue", ".opencode"),
    *("opencode.json*", ".mise.toml", "mise.toml", ".tool-versions", ".autoenv", ".env.local"),
    # Build files.
    *("makefile", "gnumakefile", "bsdmakefile", "*.mk", "justfile", ".justfile", "taskfile.y*ml"),
    *("rakefile", "gemfile", "*.gemspec", "gruntfile.*", "gulpfile.*", "fabfile.py", "tasks.py"),
    *("cmakelists.txt", "*.cmake", "meson.build", "sconstruct", "wscript", "configure"),
    *("build.gradle*", "settings.gradle*", "gradlew*", "gradle", "pom.xml", ".mvn", "mvnw*"),
    *("build.xml", "build.sbt", "build.rs", ".cargo", "build.zig", "flake.nix", "shell.nix"),
    *("default.nix", "dockerfile*", "containerfile*", "docker-compose*.y*ml", "compose*.y*ml"),
    *("vagrantfile", "procfile*", "package.json", ".npmrc", ".yarnrc*", ".pnpmfile.cjs"),
    *("node_modules", "*.config.js", "*.config.cjs", "*.config.mjs", "*.config.ts", ".eslintrc*"),
    *(".prettierrc*", ".babelrc*", "deno.json*", "bunfig.toml", "composer.json", "mix.exs"),
    *("*.csproj", "*.vcxproj", "directory.build.*", "*.sln"),
    # Python: files that are imported or read without being named.
    *("setup.py", "setup.cfg", "pyproject.toml", "tox.ini", "noxfile.py", "conftest.py"),
    *("pytest.ini", "sitecustomize.py", "usercustomize.py", "*.pth", "pyvenv.cfg"),
    *(".venv", "venv", "site-packages", ".pdbrc", ".pythonrc*", ".ipython", ".jupyter"),
    # Shells, terminals and editors.
    *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile"),
    *(".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".kshrc", ".cshrc", ".tcshrc"),
    *(".login", ".logout", ".inputrc", ".config/fish", ".config/nushell", ".oh-my-zsh"),
    *(".xinitrc", ".xprofile", ".xsession*", ".xsessionrc", ".tmux.conf", ".config/tmux"),
    *(".screenrc", ".wezterm.lua", ".config/kitty", ".config/nvim", ".vim", ".emacs", ".emacs.d"),
    *(".config/emacs", ".irbrc", ".rprofile", ".perltidyrc", ".config/powershell"),
    # Programs that start with the session or at a time.
    *(".config/autostart", ".config/systemd", ".local/share/systemd", ".config/environment.d"),
    *(".config/plasma-workspace", ".config/i3", ".config/sway", ".config/hypr", ".config/niri"),
    *(".local/share/applications", ".local/share/dbus-1", ".local/bin", ".local/lib"),
    *("library/launchagents", "library/launchdaemons", "crontab", "cron.*", "authorized_keys*"),
    ".pam_environment",
    *(".ssh", ".forward", ".procmailrc", ".screenlayout", "library/application scripts"),
)
"""Names of files and folders, compared without regard to case; `*` stays within a name.

A path matches if its last parts, or those of a folder above it, do.
"""
_WORD = re.compile(r"[^\s=,;:'\"`<>|&()\[\]{}]+")


def executed_file(path: Path | PurePath | None, patterns: Sequence[str] = ()) -> str:
    """Return the part of a path that EXECUTED_FILES or `patterns` match; "" if none does."""
    if path is None:
        return ""
    names, sequences = _compiled((*EXECUTED_FILES, *patterns))
    parts = [normalize(part) for part in path.parts]
    for start, part in enumerate(parts):
        if names.fullmatch(part):
            return path.parts[start]
        for sequence in sequences:
            found = parts[start : start + len(sequence)]
            if len(found) == len(sequence) and all(map(fnmatchcase, found, sequence)):
                return "/".join(path.parts[start : start + len(sequence)])
    return ""


@lru_cache(maxsize=16)
def _compiled(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], list[list[str]]]:
    """Return one pattern for all single names, and the names of each longer pattern."""
    split = [[normalize(part) for part in PurePath(pattern).parts] for pattern in patterns]
    single = "|".join(translate(parts[0]) for parts in split if len(parts) == 1)
    return re.compile(single), [parts for parts in split if len(parts) > 1]


def words(text: str) -> Iterator[str]:
    """Yield what could be a path in a command line or another text, options' values included."""
    for word in _WORD.findall(text):
        yield word.replace("\\", "")
