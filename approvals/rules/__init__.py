"""The language of policies: what a tenant's document may say, and what follows from it.

Everything here but `circumstances` and `replay` is pure: no clock, no database, no network. The
gatekeeper evaluates a document when it opens a gate, the executor once more before it sends, and
a stranger with the same envelope comes to the same answer.
"""
