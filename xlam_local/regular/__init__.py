"""Regular languages: ECMA-262 patterns and finite automata."""
