"""HTTP requests to allowed hosts, and responses as text."""
