"""The one exception that the command line shows as a sentence."""


class BackupError(Exception):
    """What went wrong, in words, with what to do where that is known."""
