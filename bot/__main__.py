"""`python -m bot`: the same as `flowbot`."""

from bot.cli.main import main

main()
