"""``python -m hub.cli``: how the demo starts its own children, whatever the console script is called."""

from hub.cli import main

main()
