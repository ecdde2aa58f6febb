"""Static int8 quantization: calibration, per-matmul choice of range and smoothing, the budget."""
