from __future__ import annotations

from xlam_local.relevance import like, words
from xlam_local.types import Tool

TOOLS = (
    Tool("get_weather", "Get the weather forecast for a city.", {}),
    Tool("send_mail", "Send an e-mail to a person.", {"properties": {"subject": {}}}),
    Tool("convertCurrency", "Convert an amount of money.", {"properties": 3}),
    Tool("book_flight", "Book a flight.", {"properties": {"city": {"description": "Where to."}}}),
)


def kept(request: str, most: int) -> list[str]:
    return [tool.name for tool in like(TOOLS, request, [10] * len(TOOLS), most)]


def test_all_stay_where_there_is_room() -> None:
    assert kept("anything", 40) == [tool.name for tool in TOOLS]


def test_those_most_like_the_request_stay_in_their_order() -> None:
    assert kept("How is the weather in Oslo?", 10) == ["get_weather"]
    assert kept("Mail Anna the forecasts", 20) == ["get_weather", "send_mail"]
    assert kept("converting currencies", 10) == ["convertCurrency"]
    assert kept("flights to another city", 20) == ["get_weather", "book_flight"]


def test_a_tool_that_is_named_stays() -> None:
    assert kept("use book_flight for the weather in the city", 10) == ["book_flight"]


def test_a_tool_is_not_named_by_a_part_of_a_word() -> None:
    tools = (Tool("e", "Do something else.", {}), TOOLS[0])
    assert like(tools, "the weather here", [10, 10], 10) == (TOOLS[0],)


def test_what_costs_too_much_leaves_room_for_others() -> None:
    chosen = like(TOOLS, "weather mail", [50, 10, 10, 10], 30)
    assert [tool.name for tool in chosen] == ["send_mail", "convertCurrency", "book_flight"]


def test_without_a_word_in_common_the_first_stay() -> None:
    assert kept("42", 20) == ["get_weather", "send_mail"]
    assert kept("", 0) == []


def test_words_are_told_apart_and_lose_their_endings() -> None:
    assert words("getCities of_countries, Bookings") == ["get", "cit", "of", "countr", "booking"]
