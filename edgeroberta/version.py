"""The version of this package; the rest of it asks here, so that nothing imports the whole package for it."""

__version__ = "0.10.0"
