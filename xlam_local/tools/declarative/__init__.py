"""Tools that a TOML or JSON file declares: commands and HTTP requests with placeholders."""
