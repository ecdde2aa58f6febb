"""Work on another machine over the system's OpenSSH client; nothing has to be installed there.

``hosts`` reads which machines there are, and ``hostrun`` does some work on one: ``ssh`` talks to it,
``program`` is the text that is sent to its Python, ``shipping`` brings files there by content hash, ``wheel``
makes this package a wheel, and ``job`` starts what is to run there and follows it. A ``step`` is what runs: a
function of this package in a process of its own, which tells its progress as JSON events. ``device`` is the
half that runs on the other machine before this package is there: standard library only.
"""
