"""A Jinja chat template that writes our own prompts and marks the model's words for trainers."""

from __future__ import annotations

import json

from ...prompt import Family
from ...prompt.instructions import XLAM_INSTRUCTIONS, XLAM_SYSTEM

TEMPLATE = """\
{%- set system = messages[0].content if messages and messages[0].role == 'system' else DEFAULT -%}
{%- set rest = messages[1:] if messages and messages[0].role == 'system' else messages -%}
{{- BEGIN + OPEN + 'system' + CLOSE + GAP + system.strip() + '\\n' -}}
{%- if tools -%}
{{- INSTRUCTIONS -}}
{%- for tool in tools -%}
{%- set f = tool.function if tool.function else tool -%}
{%- set d = dict(name=f.name) -%}
{%- if f.description -%}{%- set d = dict(d, description=f.description) -%}{%- endif -%}
{%- if f.parameters -%}{%- set d = dict(d, parameters=f.parameters) -%}{%- endif -%}
{{- d | tojson(indent=4) + '\\n\\n' -}}
{%- endfor -%}
{%- endif -%}
{{- END -}}
{%- for m in rest -%}
{{- OPEN + (RESULT if m.role == 'tool' else m.role) + CLOSE + GAP -}}
{%- set said = m.content or '' -%}
{%- set ns = namespace(text=said if m.role == 'tool' else said.strip()) -%}
{%- if m.role == 'assistant' and m.tool_calls -%}
{%- set ns.text = '[' -%}
{%- for c in m.tool_calls -%}
{%- set f = c.function if c.function else c -%}
{%- set a = f.arguments if f.arguments is string else f.arguments | tojson -%}
{%- set ns.text = ns.text + (', ' if not loop.first else '') + '{"name": ' + f.name | tojson \
+ ', "arguments": ' + a + '}' -%}
{%- endfor -%}
{%- set ns.text = ns.text + ']' -%}
{%- endif -%}
{%- if m.role == 'assistant' and m.weight != 0 -%}
{%- generation -%}{{- ns.text + END -}}{%- endgeneration -%}
{%- else -%}
{{- ns.text + END -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- OPEN + 'assistant' + CLOSE + GAP -}}{%- endif -%}
"""


def template_text(family: Family) -> str:
    """Return the chat template for a base model of xLAM."""
    values = {
        "DEFAULT": XLAM_SYSTEM,
        "INSTRUCTIONS": XLAM_INSTRUCTIONS,
        "BEGIN": family.begin,
        "OPEN": family.open,
        "CLOSE": family.close,
        "GAP": family.gap,
        "END": family.end,
        "RESULT": family.result,
    }
    lines = [f"{{%- set {name} = {json.dumps(value)} -%}}\n" for name, value in values.items()]
    return "".join(lines) + TEMPLATE
