"""The half that runs on the device, sent to its Python as text: standard library only, Python 3.10.

Of the rest of this package, which is not on the device yet, it imports what
:func:`edgeroberta.remote.program.sent` names; see there for how it gets there, and :mod:`.main` for what can
be asked.
"""
