"""The command line: one module a command, each an absl program of its own."""
