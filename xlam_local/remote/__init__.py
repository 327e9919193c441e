"""Engines on other machines: vLLM, SGLang, llama-server, our own server, and others with less."""
