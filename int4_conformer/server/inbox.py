"""What a WebSocket has sent: read ahead, so that pings are answered while others are heard."""

import asyncio

from starlette.types import Message
from starlette.websockets import WebSocket

# Bytes that may wait: half a minute of 16 bits at 16 kHz. What is more waits at the client.
_MOST_WAITING = 1 << 20


class Inbox:
    """Messages of a WebSocket, in their order.

    Args:
        websocket: accepted.
    """

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._reading = asyncio.ensure_future(self._read())

    async def get(self) -> Message:
        """The next message; the last one is that the client has gone."""
        message = await self._messages.get()
        self._bytes -= _size(message)
        if self._bytes < _MOST_WAITING:
            self._has_room.set()
        return message

    def close(self) -> None:
        """Reads no more."""
        self._reading.cancel()

    async def _read(self) -> None:
        message: Message = {"type": ""}
        while message["type"] != "websocket.disconnect":
            await self._has_room.wait()
            message = await self._websocket.receive()
            self._bytes += _size(message)
            if self._bytes >= _MOST_WAITING:
                self._has_room.clear()
            self._messages.put_nowait(message)


def _size(message: Message) -> int:
    return len(message.get("bytes") or message.get("text") or b"")
