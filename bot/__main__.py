"""`python -m bot`: the same as `flowbot`."""

from bot.cli import main

main()
