"""What happens to every call before and after its handler: plain steps, run in order by the pipeline."""
