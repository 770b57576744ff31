"""What waits is computed together, and each gets the result for what it submitted."""

import asyncio
import threading

import pytest
from support import asynchronous

from cnn.web.server.batching import MicroBatcher


class Doubler:
    """Doubles numbers, and notes the batches in which they came."""

    def __init__(self):
        self.batches, self.started, self.go = [], threading.Event(), threading.Event()
        self.go.set()

    def __call__(self, key: str, items: list[int]) -> list[int]:
        self.batches.append((key, items))
        self.started.set()
        assert self.go.wait(60)
        if key == "broken":
            raise ZeroDivisionError
        return [2 * item for item in items]


async def _while_one_is_computed(doubler: Doubler, batcher: MicroBatcher, *calls) -> list:
    """Submit all calls while a first one, of 0, is being computed; return all results."""
    doubler.go.clear()
    first = asyncio.create_task(batcher.submit("network", 0))
    await asyncio.to_thread(doubler.started.wait, 60)
    others = [asyncio.create_task(batcher.submit(*call)) for call in calls]
    await asyncio.sleep(0)
    assert len(batcher) == len(calls)
    doubler.go.set()
    return await asyncio.gather(first, *others, return_exceptions=True)


def test_what_arrives_meanwhile_is_computed_together():
    doubler = Doubler()
    batcher = MicroBatcher(doubler, max_size=32)
    calls = [("network", number) for number in range(1, 20)]
    results = asynchronous.run(_while_one_is_computed(doubler, batcher, *calls))
    assert results == [2 * number for number in range(20)]
    assert doubler.batches == [("network", [0]), ("network", list(range(1, 20)))]
    assert len(batcher) == 0


def test_a_batch_has_at_most_so_many_items_of_one_key_the_longest_waiting_first():
    doubler = Doubler()
    batcher = MicroBatcher(doubler, max_size=2)
    keys = ["network", "other", "network", "network"]
    calls = [(key, number) for number, key in enumerate(keys, 1)]
    results = asynchronous.run(_while_one_is_computed(doubler, batcher, *calls))
    assert results == [0, 2, 4, 6, 8]
    batches = [("network", [0]), ("network", [1, 3]), ("other", [2]), ("network", [4])]
    assert doubler.batches == batches


def test_an_error_reaches_those_of_its_batch_alone():
    doubler = Doubler()
    batcher = MicroBatcher(doubler, max_size=32)
    calls = [("broken", 1), ("network", 2), ("broken", 3)]
    results = asynchronous.run(_while_one_is_computed(doubler, batcher, *calls))
    assert [type(result) for result in results] == [int, ZeroDivisionError, int, ZeroDivisionError]


def test_who_no_longer_waits_leaves_the_others_their_results():
    async def run():
        doubler = Doubler()
        batcher = MicroBatcher(doubler, max_size=32)
        doubler.go.clear()
        gone = asyncio.create_task(batcher.submit("network", 1))
        stays = asyncio.create_task(batcher.submit("network", 2))
        await asyncio.to_thread(doubler.started.wait, 60)
        gone.cancel()
        await asyncio.sleep(0)
        doubler.go.set()
        return await stays, await batcher.submit("network", 3)

    assert asynchronous.run(run()) == (4, 6)


@pytest.mark.parametrize("count", [0, 3])
def test_a_wrong_number_of_results_is_an_error_for_all(count):
    async def run():
        batcher = MicroBatcher(lambda _, items: [1] * count, max_size=32)
        calls = (batcher.submit("network", number) for number in range(2))
        return await asyncio.gather(*calls, return_exceptions=True)

    assert all(isinstance(error, ValueError) for error in asynchronous.run(run())[count:])
