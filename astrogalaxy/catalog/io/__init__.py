"""Files of catalogues: a module for each format, and what they share."""
