from __future__ import annotations

import pytest

from xlam_local.errors import ToolError
from xlam_local.tools.variables import expand_variables


def test_variables_are_replaced_in_one_pass() -> None:
    environment = {"A": "1", "B": "${A}", "EMPTY": ""}
    assert expand_variables("a ${A} ${B} $A ${1} ${}", environment) == "a 1 ${A} $A ${1} ${}"
    assert expand_variables("${C:-x y}${EMPTY:-z}${D:-}", environment) == "x y"


def test_a_variable_that_is_not_set_raises_an_error() -> None:
    with pytest.raises(ToolError, match="The environment variable MISSING is not set"):
        expand_variables("${MISSING}", {})


def test_only_the_rest_of_the_text_is_expanded_otherwise() -> None:
    environment = {"A": "x"}
    assert expand_variables("x${A}x${A}", environment, str.upper) == "XxXx"
