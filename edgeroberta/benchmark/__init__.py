"""Measuring on the machine at hand: every row of a table in its own process, taken in turns.

``worker`` is the process that holds one model; it and ``subjects`` and ``measure`` import nothing beyond
the standard library and numpy until the model itself needs more, so that peak memory and cold start are
those of the model. ``process`` starts workers, ``rounds`` lets them take turns, ``comparison`` makes a
table of them. ``conditions`` decides what the times are worth; ``intervals``, ``warmup`` and ``offline``
each hold one figure's method with its source.
"""
