"""One module per paper: its config, networks, batches, losses and scores, in the order of the paper.

What such a module has to offer says `weaklib.experiment.Method`; rows, presets and claims stand in `weaklib.grids`.
"""
