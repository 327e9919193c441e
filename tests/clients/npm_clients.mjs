// Real npm clients, unmodified, against a server: one function each.
// usage: node npm_clients.mjs URL NAME…

import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

const KEY = "secret";
const model = "xlam";
const properties = { a: { type: "integer" }, b: { type: "integer" } };
const parameters = { type: "object", properties, required: ["a", "b"] };
const add = { name: "add", description: "Add two numbers.", parameters };
const tools = [{ type: "function", function: add }];
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
    const answered = await chat.completions.create({ model, messages: user("hello"), tools });
    assert.equal(answered.choices[0].message.content, "Hello there.");
  },

  async openaiResponses(url) {
    const { responses } = new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY });
    const flat = [{ type: "function", strict: false, ...add }];
    const stream = responses.stream({ model, input: "twice", tools: flat });
    const final = await stream.finalResponse();
    assert.deepEqual(final.output.map((item) => item.type), ["function_call", "function_call"]);
    const answered = await responses.create({ model, input: "hello", tools: flat });
    assert.equal(answered.output_text, "Hello there.");
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
    const forced = await generateText({
      model: provider(model), tools: { add: sum }, toolChoice: "required", prompt: "hello",
    });
    assert.equal(forced.finishReason, "tool-calls");
  },
};

const [url, ...names] = process.argv.slice(2);
for (const name of names.length ? names : Object.keys(clients)) {
  await clients[name](url);
  console.log(name);
}
