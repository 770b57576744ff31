"""Saving the training state, and resuming from it to the bit as if never interrupted.

The file holds the optimizer's state beside the weights; it is not a checkpoint. The weights to
fall back to are not saved: after resuming, a divergence can only fall back to later ones.
"""

import dataclasses
from pathlib import Path
from typing import Any

import torch

from cnn import UserError, hardware
from cnn.files import atomic_write
from cnn.training.state import BestWeights, Progress, TrainState


def save_state(run: TrainState, path: str | Path) -> None:
    """Write all that the run needs to go on, whole or not at all. Call it between two epochs."""
    state = {
        "recipe": dataclasses.asdict(run.recipe),
        **_numerics(run),
        "network": run.network.state_dict(),
        "ema_model": run.ema_model and run.ema_model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scaler": run.scaler.state_dict(),
        "generator": run.generator.get_state(),
        "torch": torch.get_rng_state(),
        "step": run.step,
        "seconds": run.seconds,
        "history": run.history,
        "progress": run.progress and dataclasses.asdict(run.progress),
        "best_epoch": run.best_epoch and dataclasses.asdict(run.best_epoch),
    }
    with atomic_write(Path(path), "training state") as temporary:
        torch.save(state, temporary)


def load_state(run: TrainState, path: str | Path) -> None:
    """Bring a run that has just been started to where the file left it.

    A file that is missing, damaged or not a training state, and one of another recipe, device,
    precision or choice of algorithms, are a `UserError`.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"There is no training state {str(path)!r}. Check its name.")
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        differences = _differences(run, state)
    except Exception as error:  # torch.load raises a different type for each kind of damage
        raise _not_a_state(path) from error
    if differences:
        raise UserError(
            f"{str(path)!r} belongs to another run: it differs in {', '.join(differences)}. "
            "Give the same settings, or name another file."
        )
    try:
        _restore(run, state)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise _not_a_state(path) from error


def _not_a_state(path: Path) -> UserError:
    return UserError(f"{str(path)!r} is not a whole training state. Name another file.")


def _numerics(run: TrainState) -> dict[str, object]:
    """Return what decides, beside the recipe, to which bits the weights are trained."""
    return {
        "device": run.device.type,
        "precision": hardware.precision_name(run.precision),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def _differences(run: TrainState, state: dict[str, Any]) -> list[str]:
    """Describe each setting that the file has another value of."""
    numerics = _numerics(run)
    saved = state["recipe"] | {name: state[name] for name in numerics}
    current = dataclasses.asdict(run.recipe) | numerics
    return [
        f"{name} ({saved.get(name)} there, {value} here)"
        for name, value in current.items()
        if saved.get(name) != value
    ]


def _restore(run: TrainState, state: dict[str, Any]) -> None:
    run.network.load_state_dict(state["network"])
    if run.ema_model is not None:
        run.ema_model.load_state_dict(state["ema_model"])
    run.optimizer.load_state_dict(state["optimizer"])
    if run.scaler.is_enabled():
        run.scaler.load_state_dict(state["scaler"])
    run.generator.set_state(state["generator"])
    torch.set_rng_state(state["torch"])
    run.step, run.seconds = int(state["step"]), float(state["seconds"])
    run.history = [Progress(**row).row() for row in state["history"]]
    run.progress = state["progress"] and Progress(**state["progress"])
    if best := state["best_epoch"]:
        run.best_epoch = BestWeights(Progress(**best["progress"]), dict(best["weights"]))
