"""All knowledge of the RoBERTa architecture: configuration, weights, surgery and the ONNX writer."""
