"""The one exception that svt raises for people to read."""


class SvtError(Exception):
    """What is wrong, where (file, row, key), and what to do next; shown without traceback."""
