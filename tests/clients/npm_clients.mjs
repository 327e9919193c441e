// Real npm clients, unmodified, against a server: one function each.
// usage: node npm_clients.mjs URL NAME…

import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

const KEY = "secret";
const model = "xlam";
const properties = { a: { type: "integer" }, b: { type: "integer" } };
const parameters = { type: "object", properties, required: ["a", "b"] };
const add = { name: "add", description: "Add two numbers.", parameters };
const tools = [{ type: "function", function: add }];
const sumSchema = {
  type: "object", properties: { sum: { type: "integer" } }, required: ["sum"],
  additionalProperties: false,
};
const user = (content) => [{ role: "user", content }];

const clients = {
  async openaiChat(url) {
    const { chat } = new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY });
    const messages = user("twice");
    const called = await chat.completions.create({ model, messages, tools });
    assert.equal(called.choices[0].message.tool_calls.length, 2);
    const stream = chat.completions.stream({ model, messages, tools });
    const message = await stream.finalMessage();
    const found = message.tool_calls.map((call) => JSON.parse(call.function.arguments));
    assert.deepEqual(found, [{ a: 2, b: 3 }, { a: 4, b: 5 }]);
    const ask = async (text, options) =>
      (await chat.completions.create({ model, messages: user(text), tools, ...options })).choices[0];
    assert.equal((await ask("add")).message.tool_calls.length, 1);
    assert.equal((await ask("hello")).message.content, "Hello there.");
    for (const tool_choice of ["required", { type: "function", function: { name: "add" } }])
      assert.equal((await ask("hello", { tool_choice })).finish_reason, "tool_calls");
    assert.equal((await ask("add", { tool_choice: "none" })).message.content, "Hello there.");
    const results = message.tool_calls.map(
      (call) => ({ role: "tool", tool_call_id: call.id, content: "5" }),
    );
    const history = [...messages, message, ...results];
    const done = await chat.completions.create({ model, messages: history, tools });
    assert.equal(done.choices[0].message.content, "The sum is 5.");
    const json_schema = { name: "sum", schema: sumSchema, strict: true };
    const response_format = { type: "json_schema", json_schema };
    const made = await ask("add", { tools: undefined, response_format });
    assert.deepEqual(JSON.parse(made.message.content), { sum: 5 });
  },

  async openaiResponses(url) {
    const { responses } = new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY });
    const flat = [{ type: "function", strict: false, ...add }];
    const stream = responses.stream({ model, input: "twice", tools: flat });
    const final = await stream.finalResponse();
    assert.deepEqual(final.output.map((item) => item.type), ["function_call", "function_call"]);
    const ask = (input, options) => responses.create({ model, input, tools: flat, ...options });
    assert.equal((await ask("add")).output.length, 1);
    assert.equal((await ask("hello")).output_text, "Hello there.");
    for (const tool_choice of ["required", { type: "function", name: "add" }])
      assert.equal((await ask("hello", { tool_choice })).output[0].type, "function_call");
    assert.equal((await ask("add", { tool_choice: "none" })).output_text, "Hello there.");
    const calls = final.output.map(({ parsed_arguments, ...call }) => call);
    const results = calls.map(
      ({ call_id }) => ({ type: "function_call_output", call_id, output: "5" }),
    );
    assert.equal((await ask([...user("twice"), ...calls, ...results])).output_text, "The sum is 5.");
    const format = { type: "json_schema", name: "sum", schema: sumSchema, strict: true };
    const made = await ask("add", { tools: undefined, text: { format } });
    assert.deepEqual(JSON.parse(made.output_text), { sum: 5 });
  },

  async aiSdk(url) {
    const provider = createOpenAICompatible({ name: "xlam", baseURL: `${url}/v1`, apiKey: KEY });
    const sum = tool({
      description: "Add two numbers.",
      inputSchema: z.object({ a: z.number().int(), b: z.number().int() }),
      execute: async ({ a, b }) => a + b,
    });
    const options = { model: provider(model), tools: { add: sum }, stopWhen: stepCountIs(3) };
    const done = await generateText({ ...options, prompt: "twice" });
    assert.equal(done.text, "The sum is 5.");
    assert.equal(done.steps[0].toolCalls.length, 2);
    const streamed = streamText({ ...options, prompt: "add" });
    assert.equal(await streamed.text, "The sum is 5.");
    const ask = (prompt, toolChoice) =>
      generateText({ model: provider(model), tools: { add: sum }, toolChoice, prompt });
    assert.equal((await ask("add")).toolCalls.length, 1);
    assert.equal((await ask("hello")).text, "Hello there.");
    for (const choice of ["required", { type: "tool", toolName: "add" }])
      assert.equal((await ask("hello", choice)).finishReason, "tool-calls");
    assert.equal((await ask("add", "none")).text, "Hello there.");
    const structured = createOpenAICompatible({
      name: "xlam", baseURL: `${url}/v1`, apiKey: KEY, supportsStructuredOutputs: true,
    });
    const made = await generateText({
      model: structured(model), prompt: "add",
      output: Output.object({ schema: z.object({ sum: z.number().int() }) }),
    });
    assert.deepEqual(made.output, { sum: 5 });
  },
};

const [url, ...names] = process.argv.slice(2);
for (const name of names.length ? names : Object.keys(clients)) {
  await clients[name](url);
  console.log(name);
}
