"""How a process puts its calls before the scheduler."""
