"""Answers as JSON and as Python objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pydantic
import pytest
from typing_extensions import TypedDict

from tests.fakes.fake_engine import Scripted
from tests.fakes.turns import ADD
from xlam_local import gbnf
from xlam_local.agent import TurnOptions
from xlam_local.agent.schema_answer import SchemaAnswer
from xlam_local.errors import InvalidReply, ReplyTruncated, SchemaError, UsageError
from xlam_local.session import Session
from xlam_local.types import AssistantMessage, GenerationEnd, Sampling, UserMessage


class Person(pydantic.BaseModel):
    name: str
    age: int = pydantic.Field(ge=0)


@dataclass
class City:
    name: str
    people: list[Person]


class Point(TypedDict):
    x: float
    y: float


ADA = '{"name": "Ada", "age": 36}'
ADA_PERSON = Person(name="Ada", age=36)


@pytest.mark.parametrize(
    ("kind", "reply", "value"),
    [
        (Person, ADA, ADA_PERSON),
        (
            City,
            f'{{"name": "Rome", "people": [{ADA}]}}',
            City("Rome", [Person(name="Ada", age=36)]),
        ),
        (Point, '{"x": 1, "y": 2.5}', {"x": 1.0, "y": 2.5}),
        (list[int], "[1, 2]", [1, 2]),
        (bool, "true", True),
        ({"enum": ["red", "blue"]}, '"red"', "red"),
    ],
)
def test_an_answer_is_an_object_of_the_type(kind: Any, reply: str, value: object) -> None:
    engine = Scripted([reply])
    session = Session(engine, [ADD])
    assert session.ask_object("Who?", kind) == value
    assert session.messages == [UserMessage("Who?"), AssistantMessage(reply)]
    assert isinstance(engine.grammars[0], gbnf.Grammar)
    assert "within this JSON Schema" in engine.prompts[0]


def test_objects_of_a_type_have_no_other_properties() -> None:
    engine = Scripted([ADA])
    either: Any = City | Person
    Session(engine).ask_object("Who?", either)
    assert engine.prompts[0].count('"additionalProperties": false') == 2


def test_stop_strings_do_not_end_json() -> None:
    engine = Scripted([ADA])
    options = TurnOptions(sampling=Sampling(stop=("}",)))
    Session(engine, options=options).ask_object("Who?", Person)
    assert engine.samplings[0].stop == ()


def test_an_answer_that_is_not_valid_is_an_error() -> None:
    with pytest.raises(InvalidReply, match=r"age: Input should be greater than or equal to 0\."):
        Session(Scripted(['{"name": "Ada", "age": -1}'])).ask_object("Who?", Person)
    with pytest.raises(InvalidReply, match="The answer is not within the schema: /age"):
        SchemaAnswer({"properties": {"age": {"type": "integer"}}}).parse('{"age": "x"}')
    for text in ("yes", "NaN", '{"a": 1, "a": 2}'):
        with pytest.raises(InvalidReply, match="The answer is not valid JSON"):
            SchemaAnswer({}).parse(text)
    with pytest.raises(InvalidReply, match="The answer is nested more than 200 levels deep"):
        SchemaAnswer({}).parse("[" * 100_000)
    with pytest.raises(ReplyTruncated):
        Session(Scripted(["{", GenerationEnd(truncated=True)])).ask_object("Who?", Person)


def test_a_type_or_schema_that_cannot_be_used_is_an_error() -> None:
    with pytest.raises(UsageError, match="has no JSON Schema"):
        Session(Scripted()).ask_object("Who?", Scripted)
    with pytest.raises(SchemaError):
        Session(Scripted()).ask_object("Who?", {"enum": []})
