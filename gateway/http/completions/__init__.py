"""OpenAI's plain completions, for prompts without a chat: `/v1/completions`."""
