from __future__ import annotations

from tests.fakes.fake_engine import Scripted
from xlam_local.agent.tool_selection import fit_tools, select_tools, words
from xlam_local.types import Tool

TOOLS = (
    Tool("get_weather", "Get the weather forecast for a city.", {}),
    Tool("send_mail", "Send an e-mail to a person.", {"properties": {"subject": {}}}),
    Tool("convertCurrency", "Convert an amount of money.", {"properties": 3}),
    Tool("book_flight", "Book a flight.", {"properties": {"city": {"description": "Where to."}}}),
)


def selected(request: str, max_tokens: int) -> list[str]:
    return [tool.name for tool in select_tools(TOOLS, request, [10] * len(TOOLS), max_tokens)]


def test_all_tools_are_selected_if_they_fit() -> None:
    assert selected("anything", 40) == [tool.name for tool in TOOLS]


def test_the_tools_most_like_the_request_are_selected_in_their_order() -> None:
    assert selected("How is the weather in Oslo?", 10) == ["get_weather"]
    assert selected("Mail Anna the forecasts", 20) == ["get_weather", "send_mail"]
    assert selected("converting currencies", 10) == ["convertCurrency"]
    assert selected("flights to another city", 20) == ["get_weather", "book_flight"]


def test_a_tool_that_the_request_names_is_selected() -> None:
    assert selected("use book_flight for the weather in the city", 10) == ["book_flight"]


def test_a_part_of_a_word_does_not_name_a_tool() -> None:
    tools = (Tool("e", "Do something else.", {}), TOOLS[0])
    assert select_tools(tools, "the weather here", [10, 10], 10) == (TOOLS[0],)


def test_a_tool_that_is_too_large_is_skipped() -> None:
    chosen = select_tools(TOOLS, "weather mail", [50, 10, 10, 10], 30)
    assert [tool.name for tool in chosen] == ["send_mail", "convertCurrency", "book_flight"]


def test_the_first_tools_are_selected_if_no_word_is_shared() -> None:
    assert selected("42", 20) == ["get_weather", "send_mail"]
    assert selected("", 0) == []


def test_identifiers_are_split_into_stems() -> None:
    assert words("getCities of_countries, Bookings") == ["get", "cit", "of", "countr", "booking"]


def test_tools_are_counted_only_if_they_may_not_fit() -> None:
    class NotCounting(Scripted):
        def count(self, prompts: object) -> list[int]:
            raise AssertionError("The tools were counted.")

    assert fit_tools(TOOLS, "weather", NotCounting(context_size=10_000), 0.5) == TOOLS
    assert fit_tools(TOOLS, "weather", Scripted(context_size=100), 0.2) == (TOOLS[0],)


def test_a_tool_with_a_lone_surrogate_in_its_description_is_selected() -> None:
    tool = Tool("a", "\ud800", {})
    assert fit_tools([tool], "a", Scripted(context_size=1000), 0.5) == (tool,)
