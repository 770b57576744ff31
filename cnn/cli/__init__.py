"""The command line, a file a group of commands; each adds its own to the parser."""
