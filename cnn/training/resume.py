"""A run put aside and taken up again, to the bit as if it had never been interrupted.

Only the weights to go back to, should the loss explode, are none from before the interruption.
The working file holds the optimizer's memory beside the weights; it is no checkpoint.
"""

import dataclasses
from pathlib import Path

import torch

from cnn import UserError
from cnn.files import atomic_write
from cnn.training.state import TrainState


def save_state(run: TrainState, path: str | Path) -> None:
    """Write all that the run needs to go on, whole or not at all. Do so between two epochs."""
    state = {
        "recipe": dataclasses.asdict(run.recipe),
        "network": run.network.state_dict(),
        "answering": run.answering.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "generator": run.generator.get_state(),
        "torch": torch.get_rng_state(),
        "step": run.step,
        "seconds": run.seconds,
        "history": run.history,
    }
    with atomic_write(Path(path), "run") as place:
        torch.save(state, place)
        place.replace(path)


def load_state(run: TrainState, path: str | Path) -> None:
    """Bring a run that has just been started to where the file left it.

    A `UserError` tells of a file that is not such a one, or that follows another recipe.
    """
    path = Path(path)
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        recipe = state["recipe"]
    except Exception as fault:  # torch.load raises a different type for each kind of damage
        raise UserError(
            f"{path.name!r} is not a run that was put aside. Name another file, or remove it."
        ) from fault
    expected = dataclasses.asdict(run.recipe)
    differing = [name for name in expected if expected[name] != recipe.get(name)]
    if differing:
        raise UserError(
            f"{path.name!r} follows another recipe: it differs in {', '.join(differing)}. "
            "Give the same recipe, or name another file."
        )
    run.network.load_state_dict(state["network"])
    run.answering.load_state_dict(state["answering"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.generator.set_state(state["generator"])
    torch.set_rng_state(state["torch"])
    run.step, run.seconds, run.history = state["step"], state["seconds"], state["history"]
