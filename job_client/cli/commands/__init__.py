"""The commands, one function each. Its parameters are the command's arguments and options."""
