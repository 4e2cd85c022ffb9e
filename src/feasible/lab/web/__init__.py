"""The dashboard: pages of a store that is only read, live in a browser or frozen as files.

`pages` builds them, `app` serves them. Nothing here writes to a store, and nothing that a store
names is imported.
"""
