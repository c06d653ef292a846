"""Training that can be stopped and resumed: the trainer and its parts, checkpoints, locks and logs."""
