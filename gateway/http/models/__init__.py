"""`/v1/models`, in OpenAI's shape, and in Anthropic's for clients that name its version."""
