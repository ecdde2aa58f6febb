"""Readiness without the hardware: what TensorRT makes of a bundle's graph, seen on a CPU."""
