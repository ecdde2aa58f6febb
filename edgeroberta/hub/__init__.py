"""Bundles on the Hugging Face Hub: what is published of one, how it gets there, and how it comes back.

The client is the package ``huggingface_hub``, with its cache, its token and its settings; it is imported when
the Hub is asked.
"""
