"""What engines make of a bundle's graph: TensorRT without its hardware, the kernels of a CPU; ``doctor``."""
