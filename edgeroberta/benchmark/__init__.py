"""``edgeroberta bench``: one table of a bundle on each of its engines and its baseline, here or over ssh.

``run`` finds the data, the reference and the baseline; ``lineup`` says which rows there are, ``comparison``
measures them with :mod:`edgeroberta.measure`, ``row`` sums up what one model took and asks the gate, and
``table`` and ``notes`` lay it out. ``hosts`` does the same on other machines, with ``payload`` and ``steps``.
"""
