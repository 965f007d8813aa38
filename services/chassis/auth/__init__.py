"""Who calls and what that one may do: tokens, decisions of the access manager, states of agents.

Called by the pipeline and by adapters, on the event loop; what is remembered here is dropped with access's
news.
"""
