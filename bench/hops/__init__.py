"""The way of one job: when it reaches each hand-over.

The services are started by bench.hops.traced, which wraps the functions of the hand-overs. The services know
nothing of it, so it costs nothing otherwise.
"""
