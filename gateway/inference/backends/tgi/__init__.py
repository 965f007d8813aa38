"""The driver of text-generation-inference and of the embedded tgi-local."""
