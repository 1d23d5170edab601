"""Recipes that train the network: examples, crops, and the loop that ends in a weight file."""
