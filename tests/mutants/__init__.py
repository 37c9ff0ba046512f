"""Mutation testing: `make mutation`.  Each fault put into a module should make a test fail."""
