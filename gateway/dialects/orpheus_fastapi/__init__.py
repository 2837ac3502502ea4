"""The door of an earlier server of Orpheus (piyushgit011/orpheus-cpp, ``FASTAPI_README.md``), for its clients.

``docs/dialects.md`` says where this door is more than the earlier one, and what is meant where that contradicts itself.
"""

from gateway.dialects.orpheus_fastapi.bodies import EndpointsAnswer
from gateway.dialects.orpheus_fastapi.routes import routes

__all__ = ["EndpointsAnswer", "routes"]
