"""A budget in place of a recipe: which of all possible models meets it, and what it comes to.

``limits`` reads what the user asks for, ``search`` finds ``candidates`` that should meet it, ``probing``
ranks them by a short distillation, ``choosing`` does all of it, ``recipes`` makes a recipe of one, and
``outcome`` judges it.
"""
