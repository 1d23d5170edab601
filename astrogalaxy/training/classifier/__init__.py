"""Training of the classifiers of galaxy cutouts."""
