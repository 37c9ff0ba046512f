"""Base classes for the tests of packages that have processors; fedmsg's own tests are elsewhere."""
