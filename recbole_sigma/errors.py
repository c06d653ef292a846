"""What the plugin raises when the user, not the program, has to change something."""


class RecBoleSigmaError(ValueError):
    """Bad input. The message says what was expected and what to do; the command line prints it and exits with 2."""


class ConfigError(RecBoleSigmaError):
    """An unknown model, data set or key, or a value of the wrong type or range."""


class DataError(RecBoleSigmaError):
    """Files that are missing, unreadable, lack a column, or leave nothing after filtering."""


class CheckpointError(RecBoleSigmaError):
    """A checkpoint that is missing, damaged, or belongs to another model or catalog."""


class TrainingError(RecBoleSigmaError):
    """Training that cannot go on, such as a loss that became NaN."""


class RequestError(RecBoleSigmaError):
    """A question that a trained model cannot answer, such as recommendations of more items than there are."""


class MissingExtraError(RecBoleSigmaError, ImportError):
    """An optional package that is not installed."""
