"""Who calls and what that one may do: tokens, decisions of the access manager, states of agents."""
