"""The command line by subject: one file for each group of commands; each command says what comes next."""
