"""The clock: models in worker processes, timed in interleaved repetitions; are the times valid?

``worker`` is the process that holds one model; it, ``subjects`` and ``clock`` import nothing beyond the
standard library and numpy until the model itself needs more, so that peak memory and cold start are those of
the model. ``process`` starts workers, ``rounds`` lets them take turns, ``validity`` decides what the times
are worth; ``warmup``, ``offline`` and ``paired`` each hold one figure's method with its source.
"""
