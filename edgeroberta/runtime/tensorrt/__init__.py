"""Runs bundles in TensorRT and TensorRT-RTX."""
