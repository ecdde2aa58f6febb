"""Side-by-side comparison with the tools a user would pick instead."""
