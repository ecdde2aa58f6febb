"""What is written to disk and read back: artifacts, caches, JSON and YAML, safe places, digests of code."""
