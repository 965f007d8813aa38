"""The access manager: who the agents are, what they may do, and a record of what they did."""
