"""Computes what waits in one call: a network predicts sixteen drawings in the time of six."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import anyio.to_thread

Key = TypeVar("Key")
Item = TypeVar("Item")
Result = TypeVar("Result")


class MicroBatcher(Generic[Key, Item, Result]):
    """Passes what concurrent calls submit under one key to `compute` together, in a thread.

    `compute` takes a key and a list of items, and returns a result for each, in order. What
    arrives while a batch is computed makes up the next ones, each of at most `max_size` items of
    the key that has waited longest; nothing waits for a batch to fill.
    """

    def __init__(self, compute: Callable[[Key, list[Item]], Sequence[Result]], max_size: int):
        self._compute, self._max_size = compute, max_size
        self._waiting: list[tuple[Key, Item, asyncio.Future]] = []
        self._task: asyncio.Task | None = None

    def __len__(self) -> int:
        """Return how many items wait for their batch."""
        return len(self._waiting)

    async def submit(self, key: Key, item: Item) -> Result:
        """Return the result for one item."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((key, item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            key = self._waiting[0][0]
            batch = [entry for entry in self._waiting if entry[0] is key][: self._max_size]
            futures = [future for _, _, future in batch]
            self._waiting = [entry for entry in self._waiting if entry[2] not in futures]
            try:
                items = [item for _, item, _ in batch]
                results = await anyio.to_thread.run_sync(self._compute, key, items)
                _resolve(futures, results)
            except Exception as error:
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
        self._task = None


def _resolve(futures: list[asyncio.Future], results: Sequence) -> None:
    for future, result in zip(futures, results, strict=True):
        if not future.done():  # whoever asked may have gone
            future.set_result(result)
