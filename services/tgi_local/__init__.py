"""tgi-local: a text-generation-inference server on the CPU, for machines without a GPU."""
