"""Training that can be interrupted and resumed: the trainer and its parts, checkpoints, locks and logs."""
