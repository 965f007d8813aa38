"""The console's pages in a browser, on a running kernel."""
