"""Parsers of foreign bytes against hostile input; ``python -m fuzz`` in ``tests`` runs it long."""
