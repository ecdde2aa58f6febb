"""On the device: build a bundle's engines, check and time them, and remember the best."""
