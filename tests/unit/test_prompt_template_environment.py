"""What the environment of chat templates offers, compared with Transformers' own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import jinja2
import pytest

from xlam_local.prompt.template_environment import render

MESSAGES = [
    {"role": "system", "content": "Be <b>brief</b> & kind."},
    {"role": "user", "content": 'Zürich 🙂 "quoted"\n\x7f'},
    {"role": "assistant", "content": "<think>a</think>b"},
]
VARIABLES: dict[str, Any] = {
    "messages": MESSAGES,
    "tools": None,
    "documents": None,
    "add_generation_prompt": True,
    "bos_token": "<s>",
    "eos_token": "</s>",
}
SOURCES = [
    "{{ strftime_now('%d %b %Y') }}",
    "{% for m in messages %}{% generation %}{{ m.content }}\n{% endgeneration %}{% endfor %}",
    "{%- generation -%} a {%- endgeneration -%} b",
    "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}",
    "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}"
    "{% if loop.index == 2 %}{% break %}{% endif %}{% endfor %}",
    "{{ messages | tojson }}",
    "{{ messages | tojson(indent=2) }}",
    "{{ messages | tojson(2) }}",
    "{{ messages | tojson(ensure_ascii=True) }}",
    "{{ messages | tojson(ensure_ascii=True, indent=4) }}",
    "{{ messages | tojson(separators=(',', ':')) }}",
    "{{ {'b': 1, 'a': [none, true, 1.5]} | tojson(sort_keys=True, separators=(', ', ':')) }}",
    "{{ '<script>&' | tojson }}",
    "{% set ns = namespace(last=none, n=0) %}{% for m in messages %}{% set ns.last = m %}"
    "{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.last.role }}{{ ns.n }}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a + ns.b }}",
    "{{ dict(a=1) | tojson }}{{ dict.fromkeys(['x']) | tojson }}",
    "{% if tools is defined %}defined{% endif %}{% if tools is none %}none{% endif %}",
    "{% if documents %}documents{% endif %}{% if functions is defined %}functions{% endif %}",
    "{% if date_string is not defined %}{% set date_string = '26 Jul 2024' %}{% endif %}"
    "{{ date_string }}",
    "{{ enable_thinking }}|{{ enable_thinking is false }}|{{ add_generation_prompt }}",
    "{{ messages[2].content.split('</think>')[-1].lstrip('\\n') }}",
    "{% for m in messages | selectattr('role', 'equalto', 'user') %}{{ m.content }}{% endfor %}",
    "{{ messages | map(attribute='role') | join(',') }}{{ messages[::-1][0].role }}",
    "{% macro one(a, b='x') %}{{ a }}{{ b }}{{ caller() if caller }}{% endmacro %}"
    "{% call one('y') %}z{% endcall %}{{ one(1) }}",
    "{% set text %} a {% endset %}{{ text | trim | upper }}",
    "{% filter upper %}a{% endfilter %}{{ '%s %d' | format('a', 3) }}{{ '{} {}'.format(1, 2) }}",
    "{% for k, v in messages[0].items() %}{{ k }}{% endfor %}{% for k, v in messages[0] | items %}"
    "{{ v }}{% endfor %}",
    "{% if messages[0].content is string and messages is iterable and messages[0] is mapping %}"
    "{{ loop is defined }}{% endif %}",
    "{%- for m in messages %}\n    {%- if m.role == 'user' %}\n  x\n    {%- endif %}\n"
    "{%- endfor %}\n",
    "  {% if true %}\n  indented\n  {% endif %}\nend\n",
    "{{ messages[0].missing }}{{ messages[0].missing | default('d') }}",
    "{{ [1, 2, 3] | sum }}{{ range(3) | list }}{{ 7 // 2 }}{{ 2 ** 3 }}{{ 'a' ~ 1 }}",
    "{% for i in range(2) %}{{ loop.cycle('a', 'b') }}{{ loop.previtem }}{{ loop.revindex }}"
    "{% else %}none{% endfor %}",
    "{# a comment #}{% raw %}{{ x }}{% endraw %}{{ none }}{{ true }}{{ 'x' | replace('x', 'y') }}",
]
FAILING = [
    "{{ raise_exception('Roles must alternate.') }}",
    "{{ undefined_function() }}",
    "{% for tool in tools %}{% endfor %}",
    "{% set ns = namespace(__class__=1) %}",
    "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "{{ ''.__class__.__mro__ }}",
    "{{ dict.__class__ }}{{ dict.mro() }}",
    "{{ messages.append(1) }}",
    "{{ undefined | tojson }}",
    "{% include 'x' %}",
    "{% do messages %}",
    "{% generation %}",
]


def rendered_by_transformers(source: str) -> str:
    """Return what a template writes in Transformers."""
    from transformers.utils.chat_template_utils import render_jinja_template

    others = {key: value for key, value in VARIABLES.items() if key != "messages"}
    rendered = render_jinja_template([MESSAGES], chat_template=source, **others)
    return str(rendered[0][0])


@pytest.mark.parametrize("source", SOURCES)
def test_a_construct_means_what_it_means_in_transformers(source: str) -> None:
    assert render(source, VARIABLES) == rendered_by_transformers(source)


@pytest.mark.parametrize("source", FAILING)
def test_what_fails_in_transformers_fails(source: str) -> None:
    with pytest.raises((jinja2.TemplateError, TypeError)) as theirs:
        rendered_by_transformers(source)
    with pytest.raises(type(theirs.value)):
        render(source, VARIABLES)


def test_the_time_is_now() -> None:
    assert render("{{ strftime_now('%Y') }}", {}) == datetime.now().strftime("%Y")
