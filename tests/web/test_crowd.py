"""Many at once: each is answered in turn, and nobody is sent away for what the others do."""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor

from PIL import Image
from support.crowd import Asked, Visitor, show


def test_photographs_that_come_all_at_once_are_answered_one_after_another(hosted):
    shown, small = Asked(), io.BytesIO()
    Image.radial_gradient("L").save(small, "PNG")

    async def come() -> None:
        visitors = [Visitor(hosted, number) for number in range(150)]
        await asyncio.gather(*(show(visitor, small.getvalue(), shown) for visitor in visitors))
        for visitor in visitors:
            visitor.close()

    with ThreadPoolExecutor() as beside:  # this thread may have a browser's loop already
        beside.submit(asyncio.run, come()).result()
    assert not shown.faults
    assert len(shown.milliseconds) == 150
