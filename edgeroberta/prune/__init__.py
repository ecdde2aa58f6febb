"""Which heads, FFN neurons and layers a model can do without, and what is made of those that stay."""
