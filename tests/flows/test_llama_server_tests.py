"""llama.cpp's own tests of its server, unmodified, against ours.

They come from the source distribution of llama-cpp-python and run in an environment of their own:
`pytest -m slow tests/flows/test_llama_server_tests.py`. Their fixture that starts a server with
every model of the Hub is left out; `tests.fakes.llama_server_shim` maps the options of llama-server
to ours. Each test that cannot pass is listed with its reason.
"""

from __future__ import annotations

import ast
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.fakes.client_environments import environment
from tests.fakes.llama_server_shim import MODELS_VARIABLE
from tests.fakes.resources import fetch

TIMEOUT_S = 3600
PACKAGES = ("openai", "pytest", "requests", "wget", "filelock")
CONFTEST = """
import pytest
from utils import *

@pytest.fixture(autouse=True)
def stop_server_after_each_test():
    yield
    for server in set(server_instances):
        server.stop()
"""
MODEL = "it expects the text, the tokens or the token counts of the model stories260K"
NATIVE = "it uses /completion, llama-server's own format, which is not offered"
HUB = "it downloads a model from the Hub"
BIAS = "logit_bias is refused"
ORIGINS = "it expects that every website, or every one on localhost, may send requests"
UI = "there is no web interface"
ROUTER = "a server has one model; streams cannot be resumed"
PREFILL = "an assistant message at the end is a message, not the beginning of the reply"
FIELD = "it uses fields of llama-server that are refused by name"
CANNOT_PASS: Mapping[str, Mapping[str, str]] = {
    "test_tokenize.py": {"test_tokenize_with_bos": MODEL},
    "test_basic.py": {
        "test_server_multiple_addresses": "a server has one address",
        "test_server_props": "model_path is the model's name, and no default seed is shown",
        "test_server_slots": "/slots cannot be turned off",
        "test_load_split_model": HUB,
        "test_no_ui": UI,
        "test_server_model_aliases_and_tags": "a model has one name and no tags",
    },
    "test_security.py": {
        "test_access_static_assets_without_api_key": UI,
        "test_correct_api_key": NATIVE,
        "test_correct_api_key_anthropic_header": NATIVE,
        "test_cors_options": ORIGINS,
        "test_cors_origins_localhost_reflects": ORIGINS,
        "test_cors_origins_localhost_rejects": "a foreign website gets status 403, not 200",
        "test_cors_origins_defaults_to_localhost_with_tools_enabled": ORIGINS,
        "test_cors_proxy_only_forwards_explicit_proxy_headers": UI,
        "test_local_media_file": "images are not supported",
    },
    "test_chat_completion.py": {
        "test_chat_completion": MODEL,
        "test_chat_completion_cached_tokens": MODEL,
        "test_chat_completion_stream": MODEL,
        "test_chat_completion_with_openai_library": MODEL,
        "test_chat_template": FIELD,
        "test_chat_template_assistant_prefill": PREFILL,
        "test_chat_template_continue_final_message_vllm_compat": PREFILL,
        "test_apply_chat_template": "the template is the model's, not an option",
        "test_chat_completion_with_timings_per_token": "replies have no timings",
        "test_logit_bias": BIAS,
        "test_context_size_exceeded": "the error has OpenAI's code context_length_exceeded",
        "test_context_size_exceeded_stream": "the error has OpenAI's code context_length_exceeded",
        "test_return_progress": FIELD,
        "test_chat_completions_token_count": "token counts are at /v1/messages/count_tokens",
        "test_verbose_debug": FIELD,
    },
    "test_tool_call.py": {},
    "test_compat_oai_responses.py": {
        "test_responses_with_openai_library": MODEL,
        "test_responses_stream_with_openai_library": MODEL,
        "test_responses_stream_with_llama_telemetry": FIELD,
    },
    "test_completion.py": {
        "test_completion": NATIVE,
        "test_completion_stream": NATIVE,
        "test_completion_stream_vs_non_stream": NATIVE,
        "test_completion_with_openai_library": MODEL,
        "test_completion_stream_with_openai_library": MODEL,
        "test_completion_stream_with_openai_library_stops": HUB,
        "test_consistent_result_same_seed": NATIVE,
        "test_different_result_different_seed": NATIVE,
        "test_consistent_result_different_batch_size": NATIVE,
        "test_cache_vs_nocache_prompt": "llama.cpp skips it",
        "test_nocache_long_input_prompt": NATIVE,
        "test_json_prompt_no_mtmd": NATIVE,
        "test_json_prompt_mtm_error_when_not_supported": NATIVE,
        "test_completion_with_tokens_input": NATIVE,
        "test_completion_parallel_slots": NATIVE,
        "test_completion_unified": NATIVE,
        "test_completion_response_fields": NATIVE,
        "test_n_probs": NATIVE,
        "test_n_probs_stream": NATIVE,
        "test_n_probs_post_sampling": NATIVE,
        "test_n_probs_post_backend_sampling": NATIVE,
        "test_logit_bias": NATIVE,
        "test_cancel_request": NATIVE,
        "test_completion_prompt_cache": NATIVE,
    },
    "test_stream.py": {
        "test_stream_resume_and_stop_with_slashed_model_name": ROUTER,
        "test_stream_stop_during_model_load": ROUTER,
        "test_stream_resumes_after_reload_during_model_load": ROUTER,
    },
}
"""By file, the tests that cannot pass, with the reason. The others of these files pass."""
FORMATS = "test_chat_completion.py::test_completion_with_response_format"
OTHER_CASES: Mapping[str, str] = {
    "test_chat_completion.py::test_invalid_chat_completion_req[messages7]": (
        "two messages of the assistant after each other are taken"
    ),
    f"{FORMATS}[response_format1-10-[ -3000 ]]": (
        "the schema allows every value; which one is written depends on the model"
    ),
}
"""Single cases of tests whose other cases pass."""


def functions(file: Path) -> Iterator[str]:
    """Yield the names of the tests in a file."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tests, with our conftest.py and a program that stands for llama-server."""
    folder = tmp_path_factory.mktemp("llama") / "tests"
    shutil.copytree(fetch("llama-server-tests"), folder)
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = slow\n", encoding="utf-8")
    (folder / "models").mkdir()
    root = Path(__file__).parents[2]
    program = folder / "llama-server"
    program.write_text(
        f'#!/bin/sh\ncd "{root}" && PYTHONPATH="{root}" exec "{sys.executable}" '
        '-m tests.fakes.llama_server_shim "$@"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.mark.slow
def test_each_listed_test_exists(suite: Path) -> None:
    for file, listed in CANNOT_PASS.items():
        assert set(listed) <= set(functions(suite / "unit" / file)), file


@pytest.mark.slow
def test_the_other_tests_of_llama_server_pass(suite: Path) -> None:
    python = environment("llama-server-tests", *PACKAGES)
    left_out = [
        f"--deselect=unit/{file}::{name}" for file, names in CANNOT_PASS.items() for name in names
    ]
    left_out += [f"--deselect=unit/{name}" for name in OTHER_CASES]
    done = subprocess.run(
        [
            *(python, "-m", "pytest", "-m", "not slow", "-p", "no:cacheprovider", "--tb=short"),
            *("--junitxml=report.xml", *left_out, *(f"unit/{file}" for file in CANNOT_PASS)),
        ],
        cwd=suite,
        env={
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "PORT": str(free_port()),
            "LLAMA_SERVER_BIN_PATH": str(suite / "llama-server"),
            MODELS_VARIABLE: str(suite / "models"),
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert len(list(ElementTree.parse(suite / "report.xml").iter("testcase"))) >= 30
