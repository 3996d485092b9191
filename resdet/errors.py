"""The one error type for bad input: data, annotations, prediction files, checkpoints, configs."""


class InputError(ValueError):
    """Something a user gave cannot be used.

    The message is one line that names the file (or box, or key), what was wanted and what was there, so that
    a tool can print it as it is: ``val/x.xml: object 2: xmax 10 is left of xmin 20``.
    """


class UsageError(InputError):
    """The command itself is wrong, not the data it names: an option, a data set's name, a config; exit code 2."""
