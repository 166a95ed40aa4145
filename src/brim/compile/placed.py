"""Devices that one program runs on, and how rows of data are divided among them.

An array with an axis of as many elements as there are rows is split along it, all else is on every device; XLA divides the arithmetic, and
sums over rows become one reduction over all devices. What is computed does not depend on what is split, but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from brim.arguments import whole
from brim.compile.xla import options
from brim.errors import BrimError

__all__ = ["Placed", "placement"]

_AXIS = "rows"


@final
@dataclass(frozen=True)
class Placed:
    """Where a program runs.

    Attributes
    ----------
    devices
        JAX's devices, of all processes that ``jax.distributed`` joined.
    rows
        Lengths of axes that are divided among them.
    """

    devices: tuple[Any, ...]
    rows: tuple[int, ...] = ()

    @property
    def whole(self) -> NamedSharding:
        """Everything on every device."""
        return NamedSharding(self._mesh, PartitionSpec())

    @property
    def _mesh(self) -> Mesh:
        return Mesh(np.array(self.devices), (_AXIS,))

    def sharding(self, shape: tuple[int, ...]) -> NamedSharding:
        """How an array of this shape lies: split along its first axis that is as long as there are rows."""
        n = len(self.devices)
        for axis, length in enumerate(shape):
            if n > 1 and length in self.rows and length % n == 0:
                return NamedSharding(self._mesh, PartitionSpec(*[None] * axis, _AXIS))
        return self.whole

    def put(self, data: Any) -> Any:
        """Arrays on the devices, those of rows in parts. Each process has all of them and keeps its part."""
        return _laid(data, self.sharding)

    def everywhere(self, values: Any) -> Any:
        """Small arrays on every device; within one process a program puts them there itself."""
        if jax.process_count() == 1:
            return values
        everywhere = self.whole
        return _laid(values, lambda _: everywhere)

    def compile(self, make: Callable[[], Callable[..., Any]], args: tuple[Any, ...], split: int) -> Any:
        """Compile ``make()`` for arguments like ``args``, of which the one numbered ``split`` lies as ``put`` puts it."""
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), np.result_type(x)), args)
        ins = tuple(jax.tree.map(lambda x, i=i: self.sharding(x.shape) if i == split else self.whole, one) for i, one in enumerate(shapes))
        found = jax.jit(make(), in_shardings=ins, out_shardings=self.whole).lower(*shapes)
        return found.compile(options() if self.devices[0].platform == "cpu" else {})


def _laid(values: Any, sharding: Callable[[tuple[int, ...]], NamedSharding]) -> Any:
    """Arrays on the devices, each as its shape says."""

    def one(x: Any) -> Any:
        held = np.asarray(x)
        return jax.make_array_from_callback(held.shape, sharding(held.shape), lambda index: held[index])

    return jax.tree.map(one, values)


def placement(device: str | None, devices: Any) -> Placed | None:
    """What ``device=`` and ``devices=`` of ``brm`` ask for; ``None`` where they are not given.

    Raises
    ------
    BrimError
        There is no such device here, or there are fewer.

    Examples
    --------
    >>> len(placement("cpu", None).devices)
    1
    >>> placement("abacus", None)
    Traceback (most recent call last):
    brim.errors.BrimError: device = 'abacus': JAX has none here
    it has: cpu. A GPU needs JAX's own package for it: pip install "jax[cuda12]"
    """
    if device is None and devices is None:
        return None
    if isinstance(devices, Mesh):
        if device is not None:
            raise BrimError("device and devices: a mesh has its devices", hint="leave device out")
        return Placed(tuple(devices.devices.ravel().tolist()))
    there = _there(device)
    if devices is None:
        return Placed(tuple(there[:1]) if jax.process_count() == 1 else tuple(there))
    n = len(there) if devices == "all" else whole("devices", devices, least=1)
    if n > len(there):
        hint = "XLA_FLAGS=--xla_force_host_platform_device_count=4, set before Python starts, makes four of a CPU"
        raise BrimError(f"devices = {n}: JAX has {len(there)} here", hint=hint)
    if jax.process_count() > 1 and n != len(there):
        raise BrimError(f"devices = {n}: {jax.process_count()} processes have {len(there)}", hint="say devices='all'")
    return Placed(tuple(there[:n]))


def _there(device: str | None) -> list[Any]:
    if device is not None and not isinstance(device, str):
        raise BrimError(f"device = {device!r}", hint="give a name: 'gpu' or 'cpu'")
    try:
        return list(jax.devices(device))
    except RuntimeError as error:
        kinds = ", ".join(dict.fromkeys(d.platform for d in jax.devices()))
        hint = f'it has: {kinds}. A GPU needs JAX\'s own package for it: pip install "jax[cuda12]"'
        raise BrimError(f"device = {device!r}: JAX has none here", hint=hint) from error
