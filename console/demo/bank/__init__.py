"""The sample bank: a small service of its own that stands for the outside world.

It knows nothing of Placet and imports none of its rooms. It has a memory: a ledger on
disk that survives `kill -9`, every call counted by its idempotency key, and switches
with which a test or a visitor makes it misbehave. Start it with
`python -m console.demo.bank --home DIR --port N`.
"""
