"""A supervised content pipeline around the content-creator command line."""

__version__ = "0.1.0"
