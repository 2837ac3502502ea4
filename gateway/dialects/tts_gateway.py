from starlette.routing import BaseRoute

from gateway.runtime import Gateway


def routes(gateway: Gateway) -> list[BaseRoute]:
    return []
