"""Work on another machine over the system's OpenSSH client; nothing has to be installed there.

``hosts`` reads which machines there are, ``ssh`` talks to one, ``program`` is the text that is sent to its
Python, ``shipping`` brings files there by content hash, ``wheel`` makes this package a wheel, ``job`` starts
what is to run there and follows it. ``untrusted`` checks what comes back. ``device`` is the half that runs
on the other machine: standard library only.
"""
