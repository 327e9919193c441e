"""Files and folders that hold keys, passwords, tokens and histories of commands.

Calls that name one always need approval, and isolated programs do not see those in a home folder.
"""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from pathlib import Path

from .patterns import normalize

HOME_PATHS = (
    # Keys, and the logins of command line tools.
    *(".ssh", ".gnupg", ".pki", ".age", ".minisign", ".password-store", ".local/share/gopass"),
    *(".aws", ".azure", ".kube", ".docker", ".config/gcloud", ".config/doctl", ".config/hcloud"),
    *(".oci", ".aliyun", ".bluemix", ".ibmcloud", ".fly", ".config/heroku", ".config/netlify"),
    *(".config/gh", ".config/glab-cli", ".config/hub", ".config/git/credentials", ".terraform.d"),
    *(".config/rclone", ".config/containers", ".config/helm", ".vault-token", ".config/op"),
    *(".config/sops", ".config/age", ".config/scaleway", ".config/linode-cli", ".wrangler"),
    *(".netrc", "_netrc", ".git-credentials", ".npmrc", ".yarnrc", ".yarnrc.yml", ".pypirc"),
    *(".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials", ".m2/settings.xml"),
    *(".m2/settings-security.xml", ".gradle/gradle.properties", ".composer/auth.json"),
    *(".config/composer/auth.json", ".nuget", ".bundle/config", ".config/pip/pip.conf", ".pip"),
    *(".cache/huggingface/token", ".huggingface", ".kaggle", ".config/wandb", ".anthropic"),
    *(".openai", ".config/openai", ".claude.json", ".claude/.credentials.json", ".codex/auth.json"),
    *(".gemini/oauth_creds.json", ".config/github-copilot", ".snowflake", ".databrickscfg"),
    *(".pgpass", ".my.cnf", ".mylogin.cnf", ".pg_service.conf", ".redisclirc", ".mongorc.js"),
    *(".s3cfg", ".boto", ".dropbox", ".config/filezilla", ".davfs2", ".smbcredentials"),
    *(".fetchmailrc", ".msmtprc", ".mbsyncrc", ".authinfo", ".authinfo.gpg", ".offlineimaprc"),
    *(".config/msmtp", ".config/neomutt", ".muttrc", ".mutt", ".config/sshuttle", ".putty"),
    # Stores of passwords, browsers, mail and chat.
    *(".local/share/keyrings", ".local/share/kwalletd", ".kde/share/apps/kwallet", ".gnome2"),
    *(".mozilla", ".thunderbird", ".config/google-chrome", ".config/chromium", ".config/vivaldi"),
    *(".config/BraveSoftware", ".config/microsoft-edge", ".config/opera", ".librewolf", ".zen"),
    *(".config/Bitwarden", ".config/Bitwarden CLI", ".config/1Password", ".config/keepassxc"),
    *(".config/KeePass", ".config/Signal", ".config/Slack", ".config/discord", ".config/Element"),
    *(".config/evolution", ".local/share/evolution", ".purple", ".local/share/TelegramDesktop"),
    *(".var/app", "snap", ".config/Code/User/globalStorage", ".config/Cursor/User/globalStorage"),
    *(".bitcoin", ".ethereum", ".electrum", ".monero", ".config/solana", ".config/Ledger Live"),
    *("Library/Keychains", "Library/Cookies", "Library/Safari", "Library/Mail"),
    *("Library/Messages", "Library/Application Support/Google/Chrome"),
    *("Library/Application Support/Firefox", "Library/Application Support/BraveSoftware"),
    *("Library/Application Support/Bitwarden", "Library/Application Support/1Password"),
    *("Library/Application Support/Signal", "Library/Application Support/Slack"),
    *(
        "Library/Application Support/com.apple.TCC",
        "Library/Containers",
        "Library/Group Containers",
    ),
    *("Library/Group Containers/group.com.apple.notes", "Library/Accounts"),
    # Histories: commands often hold passwords.
    *(".bash_history", ".zsh_history", ".zhistory", ".histfile", ".sh_history", ".ksh_history"),
    *(".history", ".ash_history", ".tcsh_history", ".local/share/fish/fish_history"),
    *(
        ".local/share/xonsh",
        ".local/share/nushell",
        ".config/nushell/history.txt",
        ".bash_sessions",
    ),
    *(".local/share/atuin", ".local/share/mcfly", ".zsh_sessions", ".local/state/bash"),
    *(".python_history", ".node_repl_history", ".irb_history", ".pry_history", ".php_history"),
    *(".psql_history", ".mysql_history", ".mariadb_history", ".sqlite_history", ".dbshell"),
    *(".rediscli_history", ".mongodb", ".mongosh", ".octave_hist", ".julia/logs", ".Rhistory"),
    *(".lesshst", ".viminfo", ".local/state/nvim", ".local/share/nvim/shada", ".wget-hsts"),
    *(".ipython/profile_default/history.sqlite", ".gdb_history", ".config/gdb_history"),
    *(".local/share/recently-used.xbel", ".xsession-errors", ".ICEauthority", ".Xauthority"),
)
"""Relative to the home folder."""
SYSTEM_PATHS = (
    *("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/master.passwd"),
    *("/etc/sudoers", "/etc/sudoers.d", "/etc/ssl/private", "/etc/pki/tls/private"),
    *("/etc/NetworkManager/system-connections", "/etc/wpa_supplicant", "/etc/netplan"),
    *("/etc/wireguard", "/etc/openvpn", "/etc/ipsec.secrets", "/etc/ppp", "/etc/krb5.keytab"),
    *("/etc/kubernetes", "/etc/rancher", "/etc/security/opasswd", "/etc/ssh"),
    *("/etc/mysql/debian.cnf", "/etc/letsencrypt", "/etc/samba/private"),
    *("/var/lib/kubelet", "/var/lib/docker", "/var/lib/postgresql", "/var/lib/mysql"),
    *("/var/lib/sss", "/var/lib/samba/private", "/var/lib/NetworkManager", "/var/lib/iwd"),
    *("/var/lib/bluetooth", "/var/backups", "/var/mail", "/var/spool/mail", "/var/spool/cron"),
    *("/var/db/dslocal", "/Library/Keychains", "/private/var/db/dslocal", "/private/var/root"),
    *("/private/etc/master.passwd", "/private/etc/sudoers"),
)
"""Readable by root, or in folders that hold what only root should read."""
_DATA_SUFFIXES = ("json", "yml", "yaml", "toml", "ini", "xml", "csv", "txt", "db", "conf", "enc")
NAMES = (
    *(".env", ".env.*", "*.env", ".envrc", ".netrc", "_netrc", ".pgpass", ".htpasswd", ".npmrc"),
    *(".pypirc", ".git-credentials", ".vault-token", ".vault_pass*", ".dockercfg", ".s3cfg"),
    *("id_rsa", "id_dsa", "id_ecdsa*", "id_ed25519*", "*_rsa", "*_ed25519", "ssh_host_*_key"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.kdb", "*.ppk"),
    *("*.ovpn", "*.gpg", "*.asc", "*.keytab", "*.tfstate", "*.tfstate.backup", "*.tfvars"),
    *("credentials", "*credentials.json", "client_secret*.json"),
    *(f"{name}.{end}" for name in ("credentials", "secrets") for end in _DATA_SUFFIXES),
    *("service-account*.json", "service_account*.json", "*-service-account.json", "*secret*.y*ml"),
    *("token.json", "auth.json", "kubeconfig", "htpasswd", "shadow", "gshadow", "wallet.dat"),
    *(".*_history", "cookies.sqlite", "logins.json", "key3.db", "key4.db"),
    *("login data", "login data-journal", "*.keychain", "*.keychain-db", "wp-config.php"),
)
"""Names of files anywhere, compared without regard to case."""
EXAMPLE_NAMES = re.compile(r".*[._-](example|sample|template|dist|tmpl|pub|md)")
"""Names of files that show what a file with credentials looks like, and of public keys."""
_HIDDEN = {normalize(path) for path in HOME_PATHS if path.startswith(".")}
_NAMES = re.compile("|".join(translate(normalize(name)) for name in NAMES))


def holds_credentials(path: Path, home: Path) -> bool:
    """Return whether a resolved path is, or lies in, a file or folder that holds credentials.

    Hidden files and folders of home folders count anywhere: there are other users, and copies.
    """
    parts = [_folded(part) for part in path.parts]
    name = parts[-1] if parts else ""
    if _NAMES.fullmatch(name) and not EXAMPLE_NAMES.fullmatch(name):
        return True
    for start, part in enumerate(parts):
        if part.startswith(".") and any(
            "/".join(parts[start : start + length]) in _HIDDEN for length in range(1, 5)
        ):
            return True
    return any(Path(*parts).is_relative_to(place) for place in _fixed_paths(home))


@lru_cache(maxsize=4096)
def _folded(part: str) -> str:
    """Return a name as on a file system that ignores case; a search looks at many."""
    return normalize(part)


@lru_cache(maxsize=4)
def _fixed_paths(home: Path) -> tuple[Path, ...]:
    in_home = (str(home / path) for path in HOME_PATHS if not path.startswith("."))
    return tuple(Path(*map(normalize, Path(path).parts)) for path in (*SYSTEM_PATHS, *in_home))


def is_broad(folder: Path, home: Path) -> bool:
    """Return whether a working folder is the home folder or contains it."""
    return home.is_relative_to(folder)


def is_private_in_home(path: Path, home: Path) -> bool:
    """Return whether a path is outside the home folder, or in a hidden file or folder of it."""
    if not path.is_relative_to(home):
        return True
    return any(part.startswith(".") for part in path.relative_to(home).parts)


def working_folder_warning(folder: Path, home: Path) -> str:
    """Return a warning about a working folder that holds more than one project, or nothing."""
    if not is_broad(folder, home):
        return ""
    kind = "your home folder" if folder == home else "a folder above your home folder"
    return (
        f"The working folder {folder} is {kind}. Tools can work on all your files there; hidden "
        "files and files with credentials need approval. Start in the folder of one project."
    )
