"""A stream of torch random numbers of one's own, whatever else draws in between."""

from __future__ import annotations

import torch
from torch import Tensor


class TorchStream:
    """Inside `with stream:` torch draws from this stream; outside, the caller's random state is as it was."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        with torch.random.fork_rng(devices=[device] if self._cuda else []):
            torch.manual_seed(seed)
            self.state = self._read()

    def __enter__(self) -> TorchStream:
        self._outer = self._read()
        self._write(self.state)
        return self

    def __exit__(self, *exception: object) -> None:
        self.state = self._read()
        self._write(self._outer)

    def _read(self) -> tuple[Tensor, ...]:
        """State of the processor's generator [5056 bytes] and, for a network on a GPU, of that GPU's."""
        processor = torch.get_rng_state()
        return (processor,) if self._cuda is None else (processor, torch.cuda.get_rng_state(self._cuda))

    def _write(self, state: tuple[Tensor, ...]) -> None:
        torch.set_rng_state(state[0])
        if self._cuda is not None and len(state) > 1:
            torch.cuda.set_rng_state(state[1], self._cuda)
