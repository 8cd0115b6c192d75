"""Recipes that ship with medseg: plain YAML, found through `importlib.resources`."""
