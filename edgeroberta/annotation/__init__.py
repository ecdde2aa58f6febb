"""Answers to the rows of a file, written beside them: a model as a filter.

``sources`` opens a file or a pipe and gives its rows in blocks of a few thousand (``blocks``), ``answering``
asks the runtime, ``answer_columns`` says which columns an answer becomes, ``sinks`` writes the rows with
these, and ``filtering`` puts them together, in memory that does not grow with the file. ``watching`` answers
lines as they are appended to a file.
"""
