"""The memory manager: each agent's notes, in RAM as far as there is room, durable all the same."""
