"""Kargah (کارگاه): from a file of data to a model that answers, on your own machine."""

__version__ = "0.1.0"
