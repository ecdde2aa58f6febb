"""The half that runs on the device, sent to its Python as text: standard library only, Python 3.10.

Nothing of the rest of this package is imported here, since it is not on the device yet; see
:mod:`edgeroberta.remote.program` for how it gets there and :mod:`.main` for what can be asked.
"""
