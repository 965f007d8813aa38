"""What every process of the kernel is bolted onto. It knows no domain and imports no service."""
