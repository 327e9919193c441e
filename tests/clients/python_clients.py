"""Real clients, unmodified, against a server: one function each.

usage: python python_clients.py URL NAME…

Runs in an environment of its own, which has the clients and not this project.
"""

# mypy: ignore-errors
from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import ClassVar

KEY = "secret"
MODEL = "xlam"
PARAMETERS = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
FUNCTION = {"name": "add", "description": "Add two numbers.", "parameters": PARAMETERS}
TOOL = {"type": "function", "function": FUNCTION}
SUM = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def openai_chat(url: str) -> None:
    from openai import OpenAI

    chat = OpenAI(base_url=f"{url}/v1", api_key=KEY).chat.completions

    def ask(text: str, **options) -> object:
        return chat.create(model=MODEL, messages=user(text), tools=[TOOL], **options).choices[0]

    assert ask("add").message.tool_calls[0].function.arguments == '{"a": 2, "b": 3}'
    assert len(ask("twice").message.tool_calls) == 2
    assert ask("hello").message.content == "Hello there."
    named = {"type": "function", "function": {"name": "add"}}
    for choice in ("required", named):
        assert ask("hello", tool_choice=choice).finish_reason == "tool_calls"
    assert ask("add", tool_choice="none").message.tool_calls is None

    calls: dict[int, str] = {}
    chunks = chat.create(model=MODEL, messages=user("twice"), tools=[TOOL], stream=True)
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or ():
            calls[call.index] = calls.get(call.index, "") + (call.function.arguments or "")
    assert [json.loads(text) for text in calls.values()] == [{"a": 2, "b": 3}, {"a": 4, "b": 5}]
    with chat.stream(model=MODEL, messages=user("add"), tools=[TOOL]) as stream:
        final = stream.get_final_completion().choices[0].message
    assert final.tool_calls[0].function.name == "add"

    messages = [*user("add"), final.model_dump(exclude={"parsed"})]
    messages.append({"role": "tool", "tool_call_id": final.tool_calls[0].id, "content": "5"})
    done = chat.create(model=MODEL, messages=messages, tools=[TOOL]).choices[0]
    assert done.message.content == "The sum is 5."
    wanted = {"type": "json_schema", "json_schema": {"name": "sum", "schema": SUM, "strict": True}}
    made = chat.create(model=MODEL, messages=user("add"), response_format=wanted).choices[0]
    assert json.loads(made.message.content) == {"sum": 5}


def openai_responses(url: str) -> None:
    from openai import OpenAI

    responses = OpenAI(base_url=f"{url}/v1", api_key=KEY).responses
    tool = {"type": "function", "strict": False, **FUNCTION}

    def kinds_of(text: str, **options) -> list[str]:
        made = responses.create(model=MODEL, input=text, tools=[tool], **options)
        return [item.type for item in made.output]

    assert kinds_of("add") == ["function_call"]
    assert kinds_of("twice") == ["function_call"] * 2
    for choice in ("required", {"type": "function", "name": "add"}):
        assert kinds_of("hello", tool_choice=choice) == ["function_call"]
    assert kinds_of("add", tool_choice="none") == ["message"]
    answered = responses.create(model=MODEL, input="hello", instructions="Be brief.", tools=[tool])
    assert answered.output_text == "Hello there."
    with responses.stream(model=MODEL, input="add", tools=[tool]) as stream:
        kinds = [event.type for event in stream]
        call = stream.get_final_response().output[0]
    assert "response.function_call_arguments.done" in kinds
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "5"}
    items = [*user("add"), call.to_dict(), result]
    items[1].pop("parsed_arguments", None)
    assert responses.create(model=MODEL, input=items, tools=[tool]).output_text == "The sum is 5."
    form = {"format": {"type": "json_schema", "name": "sum", "schema": SUM, "strict": True}}
    made = responses.create(model=MODEL, input="add", text=form)
    assert json.loads(made.output_text) == {"sum": 5}


def openai_completions(url: str) -> None:
    from openai import OpenAI

    client = OpenAI(base_url=f"{url}/v1", api_key=KEY)
    prompt = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    assert client.completions.create(model=MODEL, prompt=prompt).choices[0].text == "Hello there."
    chunks = client.completions.create(model=MODEL, prompt=[prompt], stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "Hello there."
    assert client.models.list().data[0].id == "obedient"


def openai_agents(url: str) -> None:
    from agents import (
        Agent,
        ModelSettings,
        OpenAIChatCompletionsModel,
        OpenAIResponsesModel,
        Runner,
        function_tool,
        set_tracing_disabled,
    )
    from openai import AsyncOpenAI
    from pydantic import BaseModel

    class Sum(BaseModel):
        sum: int

    set_tracing_disabled(True)

    @function_tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    async def run() -> None:
        client = AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY)
        for kind in (OpenAIChatCompletionsModel, OpenAIResponsesModel):
            agent = Agent(name="a", tools=[add], model=kind(model=MODEL, openai_client=client))
            assert (await Runner.run(agent, "twice")).final_output == "The sum is 5."
            streamed = Runner.run_streamed(agent, "add")
            async for _ in streamed.stream_events():
                pass
            assert streamed.final_output == "The sum is 5."
            assert (await Runner.run(agent, "hello")).final_output == "Hello there."
            for choice in ("required", "add"):
                forced = agent.clone(model_settings=ModelSettings(tool_choice=choice))
                assert (await Runner.run(forced, "hello")).final_output == "The sum is 5."
            silent = agent.clone(model_settings=ModelSettings(tool_choice="none"))
            assert (await Runner.run(silent, "add")).final_output == "Hello there."
            structured = agent.clone(tools=[], output_type=Sum)
            assert (await Runner.run(structured, "add")).final_output == Sum(sum=5)

    asyncio.run(run())


def langchain(url: str) -> None:
    from langchain_core.messages import ToolMessage
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(base_url=f"{url}/v1", api_key=KEY, model=MODEL)
    with_tools = model.bind_tools([TOOL])
    called = with_tools.invoke("twice")
    assert [call["args"] for call in called.tool_calls] == [{"a": 2, "b": 3}, {"a": 4, "b": 5}]
    total = None
    for chunk in with_tools.stream("twice"):
        total = chunk if total is None else total + chunk
    assert [call["args"] for call in total.tool_calls] == [{"a": 2, "b": 3}, {"a": 4, "b": 5}]
    results = [ToolMessage("5", tool_call_id=call["id"]) for call in called.tool_calls]
    assert with_tools.invoke([("user", "twice"), called, *results]).content == "The sum is 5."
    assert with_tools.invoke("hello").content == "Hello there."
    assert len(with_tools.invoke("add").tool_calls) == 1
    named = model.bind_tools([TOOL], tool_choice="add")
    assert len(named.invoke("hello").tool_calls) == 1
    assert model.bind_tools([TOOL], tool_choice="none").invoke("add").content == "Hello there."
    forced = model.bind_tools([TOOL], tool_choice="required", parallel_tool_calls=False)
    assert len(forced.invoke("hello").tool_calls) == 1
    sum_schema = {"title": "Sum", **SUM}
    assert model.with_structured_output(sum_schema).invoke("add") == {"sum": 5}


def pydantic_ai(url: str) -> None:
    from pydantic import BaseModel
    from pydantic_ai import Agent, NativeOutput
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    class Sum(BaseModel):
        sum: int

    provider = OpenAIProvider(base_url=f"{url}/v1", api_key=KEY)
    for kind in (OpenAIChatModel, OpenAIResponsesModel):
        agent = Agent(kind(MODEL, provider=provider))
        seen = []

        @agent.tool_plain
        def add(a: int, b: int, seen: None = None) -> int:
            """Add two numbers."""
            return a + b

        for text in ("add", "twice"):
            assert agent.run_sync(text).output == "The sum is 5."
        assert agent.run_sync("hello").output == "Hello there."
        silent = {"tool_choice": "none"}
        assert agent.run_sync("add", model_settings=silent).output == "Hello there."
        structured = Agent(kind(MODEL, provider=provider), output_type=NativeOutput(Sum))
        assert structured.run_sync("add").output == Sum(sum=5)

        async def streamed(agent: Agent = agent) -> str:
            async with agent.run_stream("add") as result:
                return await result.get_output()

        assert asyncio.run(streamed()) == "The sum is 5."
        assert seen == []


def llm(url: str) -> None:
    import llm as library
    from llm.default_plugins.openai_models import Chat

    abilities = {"supports_tools": True, "supports_schema": True}
    model = Chat(MODEL, model_name=MODEL, api_base=f"{url}/v1", **abilities)
    model.key = KEY

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    for text in ("add", "twice"):
        for stream in (False, True):
            tools = [library.Tool.function(add)]
            chain = model.chain(text, tools=tools, key=KEY, stream=stream)
            assert chain.text() == "The sum is 5."
    made = model.prompt("add", schema=SUM, stream=False, key=KEY).text()
    assert json.loads(made) == {"sum": 5}
    assert model.prompt("hello", stream=True, key=KEY).text() == "Hello there."


def instructor(url: str) -> None:
    import instructor as library
    from openai import OpenAI
    from pydantic import BaseModel

    class Sum(BaseModel):
        sum: int

    client = OpenAI(base_url=f"{url}/v1", api_key=KEY)
    patched = library.from_openai(client, mode=library.Mode.JSON_SCHEMA)
    made = patched.chat.completions.create(model=MODEL, messages=user("add"), response_model=Sum)
    assert made.sum == 5
    parts = patched.chat.completions.create_partial(
        model=MODEL, messages=user("add"), response_model=Sum
    )
    assert list(parts)[-1].sum == 5


def smolagents(url: str) -> None:
    from smolagents import OpenAIModel, Tool, ToolCallingAgent

    class Add(Tool):
        name, description, output_type = "add", "Add two numbers.", "integer"
        inputs: ClassVar = {
            "a": {"type": "integer", "description": "a"},
            "b": {"type": "integer", "description": "b"},
        }

        def forward(self, a: int, b: int) -> int:
            return a + b

    model = OpenAIModel(model_id=MODEL, api_base=f"{url}/v1", api_key=KEY)
    message = model.generate(user("add"), tools_to_call_from=[Add()])
    assert message.tool_calls[0].function.name == "add"
    message = model.generate(user("twice"), tools_to_call_from=[Add()])
    assert len(message.tool_calls) == 2
    for stream in (False, True):
        agent = ToolCallingAgent(
            tools=[Add()], model=model, stream_outputs=stream, verbosity_level=0
        )
        assert agent.run("add") == "5"
    wanted = {"type": "json_schema", "json_schema": {"name": "sum", "schema": SUM}}
    made = model.generate(user("add"), response_format=wanted)
    assert json.loads(made.content) == {"sum": 5}


def anthropic(url: str) -> None:
    from anthropic import Anthropic

    messages = Anthropic(base_url=url, api_key=KEY).messages
    tool = {"name": "add", "description": "Add.", "input_schema": PARAMETERS}
    shared = {"model": MODEL, "max_tokens": 100, "tools": [tool]}
    called = messages.create(messages=user("twice"), **shared)
    assert called.stop_reason == "tool_use"
    assert [block.input for block in called.content] == [{"a": 2, "b": 3}, {"a": 4, "b": 5}]
    with messages.stream(messages=user("twice"), **shared) as stream:
        final = stream.get_final_message()
    assert [block.input for block in final.content] == [{"a": 2, "b": 3}, {"a": 4, "b": 5}]
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "5"} for block in final.content
    ]
    history = [
        *user("twice"),
        {"role": "assistant", "content": [block.to_dict() for block in final.content]},
        {"role": "user", "content": results},
    ]
    done = messages.create(messages=history, system="Be brief.", **shared)
    assert done.content[0].text == "The sum is 5."
    for choice in ({"type": "any"}, {"type": "tool", "name": "add"}):
        forced = messages.create(messages=user("hello"), tool_choice=choice, **shared)
        assert forced.stop_reason == "tool_use"
    silent = messages.create(messages=user("add"), tool_choice={"type": "none"}, **shared)
    assert silent.content[0].text == "Hello there."
    assert len(messages.create(messages=user("add"), **shared).content) == 1
    with messages.stream(messages=user("hello"), **shared) as stream:
        assert "".join(stream.text_stream) == "Hello there."
    counted = messages.count_tokens(model=MODEL, messages=user("hello"), tools=[tool])
    assert counted.input_tokens > 10


def ollama(url: str) -> None:
    from ollama import Client

    client = Client(url, headers={"Authorization": f"Bearer {KEY}"})
    twice = client.chat(MODEL, user("twice"), tools=[TOOL]).message
    assert [call.function.arguments for call in twice.tool_calls][1] == {"a": 4, "b": 5}
    called = client.chat(MODEL, user("add"), tools=[TOOL]).message
    assert len(called.tool_calls) == 1
    streamed = client.chat(MODEL, user("twice"), tools=[TOOL], stream=True)
    assert sum(len(chunk.message.tool_calls or ()) for chunk in streamed) == 2
    chunks = list(client.chat(MODEL, user("hello"), tools=[TOOL], stream=True))
    assert "".join(chunk.message.content for chunk in chunks) == "Hello there."
    assert chunks[-1].done_reason == "stop"
    made = client.chat(MODEL, user("add"), format=SUM).message.content
    assert json.loads(made) == {"sum": 5}
    history = [*user("add"), called, {"role": "tool", "tool_name": "add", "content": "5"}]
    assert client.chat(MODEL, history, tools=[TOOL]).message.content == "The sum is 5."
    assert client.list().models[0].model == "obedient"
    assert "tools" in client.show(MODEL).capabilities


def litellm(url: str) -> None:
    from litellm import completion, stream_chunk_builder

    options = {"model": f"openai/{MODEL}", "api_base": f"{url}/v1", "api_key": KEY}
    options["tools"] = [TOOL]
    called = completion(messages=user("twice"), **options).choices[0]
    assert (called.finish_reason, len(called.message.tool_calls)) == ("tool_calls", 2)
    chunks = list(completion(messages=user("twice"), stream=True, **options))
    built = stream_chunk_builder(chunks).choices[0].message.tool_calls
    found = [json.loads(call.function.arguments) for call in built]
    assert found == [{"a": 2, "b": 3}, {"a": 4, "b": 5}]
    named = {"type": "function", "function": {"name": "add"}}
    for choice in ("required", named):
        forced = completion(messages=user("hello"), tool_choice=choice, **options).choices[0]
        assert forced.message.tool_calls
    assert len(completion(messages=user("add"), **options).choices[0].message.tool_calls) == 1
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "5"}
        for call in called.message.tool_calls
    ]
    history = [*user("twice"), called.message.model_dump(), *results]
    done = completion(messages=history, **options).choices[0]
    assert done.message.content == "The sum is 5."
    wanted = {"type": "json_schema", "json_schema": {"name": "sum", "schema": SUM, "strict": True}}
    untooled = {key: value for key, value in options.items() if key != "tools"}
    made = completion(messages=user("add"), response_format=wanted, **untooled).choices[0]
    assert json.loads(made.message.content) == {"sum": 5}
    answered = completion(messages=user("hello"), tool_choice="none", **options).choices[0]
    assert answered.message.content == "Hello there."


CLIENTS = {
    function.__name__: function
    for function in (
        openai_chat,
        openai_responses,
        openai_completions,
        openai_agents,
        langchain,
        pydantic_ai,
        llm,
        instructor,
        smolagents,
        anthropic,
        ollama,
        litellm,
    )
}

if __name__ == "__main__":
    for name in sys.argv[2:] or CLIENTS:
        started = time.monotonic()
        CLIENTS[name](sys.argv[1])
        print(f"{name}: {time.monotonic() - started:.1f} s", flush=True)
