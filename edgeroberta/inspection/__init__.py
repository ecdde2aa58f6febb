"""What is in a bundle, file by file and layer by layer, without opening an engine: ``bundle`` reads it.

Standard library alone, like the runtime: a device looks into its bundle, too.
"""
