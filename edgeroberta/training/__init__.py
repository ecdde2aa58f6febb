"""The training loop of every stage that trains: on Accelerate, resumable at any step, deterministic.

Each step's batch and dropout are functions of the seed and the step's number, so a run that was
killed and started again ends with the same weights as one that was not (bit for bit on a CPU).
"""
