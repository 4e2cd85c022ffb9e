"""Engines of other libraries."""
