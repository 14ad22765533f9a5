"""The version of svt, which stores, results and exports carry."""

VERSION = "0.1.0"
