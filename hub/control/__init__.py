"""Control: who there is, commands and their states, what operators see live."""
