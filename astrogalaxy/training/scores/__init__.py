"""How good what recipes have trained is, on their test sets and beside the papers' numbers."""
