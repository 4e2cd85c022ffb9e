"""Engines of other libraries, one file a library."""
