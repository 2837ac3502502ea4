"""The door of an earlier batch service (preangelleo/volcengine-concurrent-tts), for its clients: many texts in one
request, and semaphores that services share. Any engine can serve it.

``docs/dialects.md`` says where this door is more than the earlier one, and what is meant where that contradicts itself.
"""

from gateway.dialects.volcengine_concurrent.routes import routes
from gateway.dialects.volcengine_concurrent.status import status

__all__ = ["routes", "status"]
