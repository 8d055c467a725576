"""The only room that binds or accepts: listener and supervisor, link and tap, conversations, HTTP, authentication.

Its doors are ``edge``, ``rooms``, ``listener`` (Limits), ``certificates`` and ``http``.
"""
