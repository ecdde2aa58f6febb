"""EdgeRoBERTa: distill, quantize, verify and run RoBERTa encoders on edge devices."""

__version__ = "0.4.0"
