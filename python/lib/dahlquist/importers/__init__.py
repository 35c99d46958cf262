"""Readers of networks of other libraries: layers in the format of model files, and their weights."""
