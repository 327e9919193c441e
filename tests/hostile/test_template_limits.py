"""Chat templates that never end, or that need more memory than there is."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from xlam_local import prompt
from xlam_local.errors import PromptError
from xlam_local.prompt import Template
from xlam_local.prompt.chat_template import RENDERER
from xlam_local.prompt.template_renderer import TemplateFailed, TemplateRenderer
from xlam_local.types import UserMessage

CPU_LIMIT_S = 0.2
LOOP = "{% for i in range(99999) %}"
MESSAGES = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def renderer() -> Iterator[TemplateRenderer]:
    one = TemplateRenderer(CPU_LIMIT_S)
    yield one
    one.close()


ENDLESS = {
    "nested loops": LOOP * 3 + "{% endfor %}" * 3,
    "a list that grows while it is read": (
        "{% set ns = namespace(a='x') %}" + LOOP * 2 + "{% set ns.a = ns.a ~ 'x' %}"
        "{% endfor %}{% endfor %}"
    ),
    "a huge power": "{{ 9 ** (9 ** 9) }}",
    "a huge product": "{{ (9 ** 999999) * (9 ** 999999) % 7 }}" * 50,
    "sorting in loops": LOOP + "{{ range(99999) | sort(reverse=true) | length }}{% endfor %}",
    "replacing in loops": LOOP
    + "{{ ('x' * (i + 90000)) | replace('x', 'yy') | length }}{% endfor %}",
    "recursion that branches": (
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}"
    ),
    "a recursive loop": (
        "{% for i in [[[]] * 99] * 99 recursive %}{{ loop([i, i]) if loop.depth < 40 }}{% endfor %}"
    ),
    "joins": "{% set a = range(99999) | join %}" + LOOP + "{{ a | wordcount }}{% endfor %}",
    "unique in loops": LOOP + "{{ range(99999) | unique | list | length }}{% endfor %}",
}
HUGE = {
    "a product of text": "{{ 'x' * 10 ** 10 }}",
    "doubling": "{% set ns = namespace(a='xxxxxxxx') %}{% for i in range(99) %}"
    "{% set ns.a = ns.a ~ ns.a %}{% endfor %}{{ ns.a }}",
    "a list": "{% set ns = namespace(a=[1]) %}{% for i in range(99) %}"
    "{% set ns.a = ns.a + ns.a %}{% endfor %}",
    "centered text": "{{ 'x' | center(10 ** 10) }}",
    "a wide number": "{{ '%2000000000d' | format(1) }}",
    "a wide field": "{{ '{:>2000000000}'.format(1) }}",
    "a list of lists": "{{ [[0] * 10 ** 9] * 10 ** 9 }}",
    "joined text": "{{ (['x' * 10 ** 7] * 10 ** 3) | join }}",
    "indented text": "{{ ('x\\n' * 10 ** 4) | indent(10 ** 6) }}",
    "a long prompt": "{% for i in range(1100) %}{{ 'x' * 1000 }}{% endfor %}",
    "a repeated list": "{{ (range(99999) | list) * 10 ** 5 }}",
}
FAILING = {
    "a range": ("{% for i in range(10 ** 9) %}{% endfor %}", "Range too big"),
    "endless recursion": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself"),
    "nested brackets": ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "nested too deeply"),
    "nested lists": ("{{ " + "[" * 3000 + "]" * 3000 + " }}", "nested too deeply"),
    "nested blocks": ("{% if 1 %}" * 5000 + "{% endif %}" * 5000, "nested too deeply"),
    "nested loops": ("{% for i in a %}" * 30 + "{% endfor %}" * 30, "nested blocks"),
    "many operators": ("{{ " + "not " * 9999 + "1 }}", "nested too deeply"),
    "a long error": ("{{ raise_exception('x' * 10 ** 7) }}", "^x{300}$"),
    "lines in an error": ("{{ raise_exception('a\\n\\n\\tb') }}", "^a b$"),
    "control characters": (
        r"{{ raise_exception('\x1b[31m\u202ered\0') }}",
        "^\ufffd.31m\ufffdred\ufffd$",
    ),
    "division by zero": ("{{ 1 // 0 }}", "zero"),
    "an attribute of None": ("{{ none.x.y }}", "no attribute"),
    "an index": ("{{ ([1] | list).pop(7) }}", "unsafe|range"),
}


@pytest.mark.slow
@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS)
def test_a_template_that_takes_too_long_is_ended(source: str, renderer: TemplateRenderer) -> None:
    renderer.start_prompt()
    with pytest.raises(PromptError, match=r"takes more than 0\.2 s of CPU time"):
        renderer.render(source, MESSAGES)


@pytest.mark.slow
@pytest.mark.parametrize("source", HUGE.values(), ids=HUGE)
def test_a_template_that_needs_too_much_memory_is_ended(source: str) -> None:
    RENDERER.start_prompt()
    with pytest.raises(
        PromptError, match=r"needs more than 512 MiB|writes more than 1,\d{3},\d{3} ch"
    ):
        RENDERER.render(source, MESSAGES)


@pytest.mark.parametrize(("source", "message"), FAILING.values(), ids=FAILING)
def test_a_template_that_fails_is_one_sentence(source: str, message: str) -> None:
    RENDERER.start_prompt()
    with pytest.raises(TemplateFailed, match=message):
        RENDERER.render(source, MESSAGES)


def test_a_long_conversation_has_a_long_prompt() -> None:
    long = "x" * (3 << 20)
    rendered = prompt.render([UserMessage(long)], [], Template("{{ messages[0].content }}", ()))
    assert prompt.text(rendered) == long


@pytest.mark.slow
def test_the_next_template_is_rendered_after_one_that_was_ended(renderer: TemplateRenderer) -> None:
    with pytest.raises(PromptError):
        renderer.render(ENDLESS["nested loops"], MESSAGES)
    renderer.start_prompt()
    assert renderer.render("{{ messages[0].content }}", MESSAGES) == "Hi"


def test_the_time_of_all_renderings_of_a_prompt_is_limited(renderer: TemplateRenderer) -> None:
    renderer.start_prompt()
    source = "{% for i in range(9999) %}{{ i }}{% endfor %}{{ none.x.y }}"

    def try_often() -> None:
        for _ in range(1000):
            with pytest.raises(TemplateFailed):
                renderer.render(source, MESSAGES)

    with pytest.raises(PromptError, match=r"takes more than 0\.2 s of CPU time"):
        try_often()


@pytest.mark.slow
def test_a_process_that_was_killed_is_replaced(renderer: TemplateRenderer) -> None:
    before = set(psutil.Process().children())
    one = TemplateRenderer()
    assert one.render("a", {}) == "a"
    (child,) = set(psutil.Process().children()) - before
    child.kill()
    while child.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert one.render("b", {}) == "b"
    one.close()
    assert set(psutil.Process().children()) <= before


@pytest.mark.slow
def test_ctrl_c_while_a_template_is_rendered_does_not_mix_up_answers() -> None:
    one = TemplateRenderer()
    one.render("a", {})
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    timer = threading.Timer(0.2, signal.pthread_kill, [main_thread, signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        one.render(ENDLESS["nested loops"], {})
    timer.join()
    assert one.render("b", {}) == "b"
    one.close()


@pytest.mark.slow
def test_the_process_ends_with_its_parent_also_in_a_loop() -> None:
    program = (
        "import sys, threading, os, signal; from xlam_local.prompt.template_renderer import *\n"
        "one = TemplateRenderer(0.5); one.render('a', {}); print(one._process.process.pid)\n"
        "threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGKILL]).start()\n"
        f"sys.stdout.flush(); one.render({LOOP * 3 + '{% endfor %}' * 3!r}, {{}})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while psutil.pid_exists(int(done.stdout)) and time.monotonic() < deadline:
        if psutil.Process(int(done.stdout)).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    assert time.monotonic() < deadline


def test_the_error_of_a_prompt_says_what_to_do() -> None:
    before = time.process_time()
    with pytest.raises(PromptError) as refused:
        prompt.render([UserMessage("Hi")], [], Template(HUGE["a product of text"], ()))
    assert str(refused.value) == (
        "The model's chat template cannot be used: it needs more than 512 MiB of memory. "
        "Use another model file."
    )
    assert time.process_time() - before < 1
