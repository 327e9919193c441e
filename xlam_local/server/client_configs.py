"""The configuration of other programs that use the server."""

from __future__ import annotations

from collections.abc import Mapping

TEMPLATES: Mapping[str, str] = {
    "openai": """\
from openai import OpenAI

client = OpenAI(base_url="{url}/v1", api_key="{token}")
reply = client.chat.completions.create(
    model="xlam", messages=[{{"role": "user", "content": "Hello"}}]
)
print(reply.choices[0].message.content)
""",
    "langchain": """\
from langchain_openai import ChatOpenAI

model = ChatOpenAI(base_url="{url}/v1", api_key="{token}", model="xlam")
""",
    "pydantic-ai": """\
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url="{url}/v1", api_key="{token}")
agent = Agent(OpenAIChatModel("xlam", provider=provider))
""",
    "codex": """\
# ~/.codex/config.toml; the token is read from the variable XLAM_LOCAL_TOKEN.
model = "xlam"
model_provider = "xlam-local"

[model_providers.xlam-local]
name = "xlam-local"
base_url = "{url}/v1"
env_key = "XLAM_LOCAL_TOKEN"
wire_api = "responses"
""",
    "opencode": """\
{{
  "$schema": "https://opencode.ai/config.json",
  "model": "xlam-local/xlam",
  "provider": {{
    "xlam-local": {{
      "npm": "@ai-sdk/openai-compatible",
      "name": "xlam-local",
      "options": {{"baseURL": "{url}/v1", "apiKey": "{token}"}},
      "models": {{"xlam": {{"name": "xLAM", "tool_call": true}}}}
    }}
  }}
}}
""",
    "continue": """\
# ~/.continue/config.yaml
name: xlam-local
version: 0.0.1
schema: v1
models:
  - name: xLAM
    provider: openai
    model: xlam
    apiBase: {url}/v1
    apiKey: {token}
    roles: [chat]
    capabilities: [tool_use]
""",
    "open-webui": """\
OPENAI_API_BASE_URL={url}/v1
OPENAI_API_KEY={token}
""",
    "home-assistant": """\
# In the integration "Local OpenAI LLM":
Server URL: {url}/v1
API key: {token}
""",
    "llm": """\
# extra-openai-models.yaml, in the folder that `dirname "$(llm logs path)"` prints;
# `llm keys set xlam-local` stores the token.
- model_id: xlam
  model_name: xlam
  api_base: {url}/v1
  api_key_name: xlam-local
  supports_tools: true
  supports_schema: true
""",
}
"""By the name of the client; `{url}` and `{token}` are filled in."""


def client_config(client: str, url: str, token: str) -> str:
    """Return the configuration of a client for the server at `url`."""
    return TEMPLATES[client].format(url=url, token=token)
