"""The local HTTP server: OpenAI's API for programs, with calls that are always valid."""

from __future__ import annotations

from .access_token import AccessToken, access_token
from .app import build_app
from .client_configs import client_config
from .engine_queue import EngineQueue
from .security import AccessRules
from .server_state import ServerState
from .serving import open_socket, run_server, serve_in_thread, url_of

__all__ = [
    "AccessRules",
    "AccessToken",
    "EngineQueue",
    "ServerState",
    "access_token",
    "build_app",
    "client_config",
    "open_socket",
    "run_server",
    "serve_in_thread",
    "url_of",
]
