"""The version of this package; every document names the one that wrote it. Every floor may import this module."""

VERSION = "0.1.0"
