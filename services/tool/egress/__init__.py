"""The way out: HTTP that the kernel sends for tools, through three gates that each judge where it goes.

The URL is judged before anything is asked (`core/urls`, `core/egress`), then every address that its name has
(`gates.JudgedResolver`), then the very address that a socket is made for (`gates.Gate.open_socket`).
"""
