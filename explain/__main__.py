"""`python -m explain` is the command `explain`."""

from explain.cli import main

main()
