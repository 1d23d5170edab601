"""How good a catalogue or a network is: matching, calibration, and scores with their intervals."""
