"""Hypothesis strategies for JSON values and JSON Schemas."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

numbers = st.sampled_from([-3, -1, 0, 1, 2, 4, 6, 0.5, 2.5, 1.0])
scalars = st.one_of(st.none(), st.booleans(), numbers, st.sampled_from(["", "a", "ab", "b", "aab"]))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b", "ab", "c"]), inner, max_size=3),
    ),
    max_leaves=5,
)
KINDS = ["null", "boolean", "integer", "number", "string", "array", "object"]
counts = st.integers(0, 3)
leaves = st.one_of(
    st.sampled_from([True, False, {}]),
    st.builds(lambda kind: {"type": kind}, st.sampled_from(KINDS)),
    st.builds(lambda kinds: {"type": kinds}, st.lists(st.sampled_from(KINDS), max_size=3)),
    st.builds(lambda found: {"enum": found}, st.lists(values, min_size=1, max_size=3)),
    st.builds(lambda found: {"const": found}, values),
    st.builds(
        lambda keyword, limit: {keyword: limit},
        st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]),
        numbers,
    ),
    st.builds(lambda step: {"multipleOf": step}, st.sampled_from([1, 2, 3, 0.5, 1.5])),
    st.builds(
        lambda keyword, count: {keyword: count},
        st.sampled_from(
            ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"]
        ),
        counts,
    ),
    st.builds(
        lambda pattern: {"pattern": pattern}, st.sampled_from(["^a", "b$", "^a*$", "ab", "^(?!a)"])
    ),
    st.builds(lambda names: {"required": names}, st.lists(st.sampled_from("abc"), max_size=2)),
    st.just({"uniqueItems": True}),
    st.just({"dependentRequired": {"a": ["b"]}}),
)


def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=2)
    return st.one_of(
        st.builds(
            lambda keyword, schemas: {keyword: schemas},
            st.sampled_from(["allOf", "anyOf", "oneOf", "prefixItems"]),
            several,
        ),
        st.builds(
            lambda keyword, schema: {keyword: schema},
            st.sampled_from(["not", "items", "contains", "additionalProperties", "propertyNames"]),
            inner,
        ),
        st.builds(lambda schemas: {"properties": schemas}, named),
        st.builds(lambda schema: {"patternProperties": {"^a": schema}}, inner),
        st.builds(lambda schema: {"dependentSchemas": {"a": schema}}, inner),
        st.builds(lambda a, b, c: {"if": a, "then": b, "else": c}, inner, inner, inner),
        st.builds(
            lambda a, b: {**a, **b} if isinstance(a, dict) and isinstance(b, dict) else a,
            inner,
            inner,
        ),
    )


schemas = st.recursive(leaves, grown, max_leaves=6)
