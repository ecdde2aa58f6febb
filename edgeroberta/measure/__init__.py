"""The clock: models in worker processes, timed in interleaved repetitions; are the times valid?"""
