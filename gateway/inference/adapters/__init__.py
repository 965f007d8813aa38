"""The scheduler and the context service as inference sees them."""
