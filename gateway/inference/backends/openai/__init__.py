"""The driver of servers that speak the OpenAI protocol."""
