"""The servers and processes of `make up`, for a machine that has nothing else.

No module here imports Django: the servers start before there is a database to talk to,
and the tests start them before the settings are read.
"""
