"""An engine in a process of its own: what it crashes, leaks or blocks is its own, and so is what it imports.

``engine.py`` is the gateway's side, an engine like any other; ``child.py`` the other process. Between them is one
socket, over which both speak in frames (``frames.py``): the gateway asks, for every single chunk too, and the child
answers. Nothing on it is a pickle, and everything on it has a bound.
"""
