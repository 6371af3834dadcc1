"""One module per paper: its config, networks, batches, losses and scores, in the order of the paper.

`weaklib.experiment.Method` describes what such a module offers; rows, presets and claims are in `weaklib.grids`.
"""
