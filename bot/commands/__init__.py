"""The command line: one file a family of commands, listed in `bot/__main__.py`."""
