"""A budget in place of a recipe: which of all possible models meets it, and what it comes to.

``limits`` reads what the user asks for, ``shapes`` finds ``candidates`` that should meet it, ``probing``
ranks them by a short distillation, ``selection`` does all of it, ``candidate_recipes`` makes a recipe of one,
``measurement`` times what was made, and ``result`` judges it.
"""
