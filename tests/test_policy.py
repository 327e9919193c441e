import pytest

from xlam_local import policy
from xlam_local.types import Effect, Tool


@pytest.mark.parametrize("effect", Effect)
def test_only_reading_is_not_asked_for(effect: Effect) -> None:
    assert policy.asks(Tool("f", "", {}, effect), ()) == (effect is not Effect.READ)


def test_what_is_allowed_is_not_asked_for() -> None:
    tool = Tool("f", "", {}, Effect.EXECUTE)
    assert not policy.asks(tool, {"f"})
    assert policy.asks(tool, {"g"})
