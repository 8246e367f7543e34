"""The kernel's side of dc for Python: restore, checkpoint, progress, result.

A kernel is a program that dcrun starts once for each subtask. With these calls it goes on from its last checkpoint
after a failure, shows its progress, and hands over its result:

    import array, dcspool

    field = array.array("d", bytes(8 * dcspool.effective()))
    step = dcspool.restore({1: field}) or 0
    while step < STEPS:
        compute(field)
        step += 1
        if dcspool.checkpoint_due():
            dcspool.checkpoint(step, {1: field})
        dcspool.progress(dcspool.cells() * step // STEPS)
    dcspool.result(field)

This one file needs Python 3.8 or later, nothing else but dc's shared library, and no building. The library is looked for
in $DC_LIB (the file, or its directory), beside this file, two directories above it, and then where the system looks.
Without dcrun a kernel is subtask 0 of a spool of its own in $DC_SPOOL or ./dc-spool.

Whatever has the buffer interface can be kept and handed over: array.array, bytearray, memoryview, ctypes arrays, numpy
arrays. None of it is copied, but for what is read-only. See dcspool-python(3), and dcspool(3) for the details.
"""

from __future__ import annotations

import array
import ctypes
import ctypes.util
import os
import threading
from typing import Any, Iterable, List, Mapping, NamedTuple, Optional, Tuple, Union

__all__ = [
    "Block", "Grid",
    "Error", "InvalidError", "EnvError", "IoError", "CorruptError", "MismatchError", "DomainError", "LibraryError",
    "restore", "checkpoint_due", "checkpoint", "progress", "result",
    "subtask", "rank", "attempt", "cells", "block", "grid", "domain", "mask", "effective",
]


class Error(Exception):
    """What went wrong, in the library's words. `code` is the number that C has for it."""

    code = 0


class InvalidError(Error, ValueError):
    """An argument is wrong: an unknown type, counts that do not fit."""

    code = -1


class EnvError(Error):
    """The environment, or the spool, cannot be used."""

    code = -2


class IoError(Error, OSError):
    """A file could not be read or written: a full disk, an input/output error."""

    code = -3


class CorruptError(Error):
    """A checkpoint is torn, damaged or of another job. Never a reason to start from the beginning."""

    code = -4


class MismatchError(Error):
    """A checkpoint does not hold these regions."""

    code = -5


class DomainError(Error):
    """There is no domain, or it cannot be read, or it is not the job's."""

    code = -6


class LibraryError(Error, ImportError):
    """The library is not there, or has a fault of its own."""

    code = -7


_ERRORS = {
    kind.code: kind
    for kind in (InvalidError, EnvError, IoError, CorruptError, MismatchError, DomainError, LibraryError)
}


class Block(NamedTuple):
    """Columns x0 <= x < x1, rows y0 <= y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Rows."""
        return self.y1 - self.y0


class Grid(NamedTuple):
    """Columns and rows."""

    nx: int
    ny: int


Regions = Union[Mapping[int, Any], Iterable[Tuple[int, Any]]]

_DTYPES = {"u1": 1, "i1": 2, "u2": 3, "i2": 4, "u4": 5, "i4": 6, "u8": 7, "i8": 8, "f4": 9, "f8": 10}
_LAYOUTS = {"effective": 1, "block": 2, "bytes": 3}
_NAMES = ("libdcspool.so.0", "libdcspool.so")


class _Region(ctypes.Structure):
    _fields_ = [("id", ctypes.c_uint32), ("data", ctypes.c_void_p), ("bytes", ctypes.c_uint64)]


_loaded: Optional[ctypes.CDLL] = None
_loading = threading.Lock()


def _places() -> Iterable[str]:
    """Where the library may be, the first first."""
    given = os.environ.get("DC_LIB")
    if given:
        if os.path.isdir(given):
            yield from (os.path.join(given, name) for name in _NAMES)
        else:
            yield given
        return
    here = os.path.dirname(os.path.abspath(__file__))
    for directory in (here, os.path.dirname(os.path.dirname(here))):
        yield from (os.path.join(directory, name) for name in _NAMES)
    found = ctypes.util.find_library("dcspool")
    if found:
        yield found
    yield _NAMES[0]


def _load() -> ctypes.CDLL:
    tried = []
    for place in _places():
        if os.path.isabs(place) and not os.path.exists(place):
            continue
        try:
            lib = ctypes.CDLL(place)
        except OSError as error:
            tried.append(str(error))
            continue
        u32p, pointer = ctypes.POINTER(ctypes.c_uint32), ctypes.c_void_p
        regions = (ctypes.POINTER(_Region), ctypes.c_size_t)
        for name, returned, arguments in (
            ("dc_restore", ctypes.c_int, (*regions, ctypes.POINTER(ctypes.c_uint64))),
            ("dc_checkpoint_due", ctypes.c_int, ()),
            ("dc_checkpoint", ctypes.c_int, (ctypes.c_uint64, *regions)),
            ("dc_progress", ctypes.c_int, (ctypes.c_uint64,)),
            ("dc_result", ctypes.c_int, (ctypes.c_int, ctypes.c_uint32, ctypes.c_int, pointer, ctypes.c_uint64)),
            ("dc_subtask", ctypes.c_uint32, ()),
            ("dc_rank", ctypes.c_uint32, ()),
            ("dc_attempt", ctypes.c_uint32, ()),
            ("dc_cells", ctypes.c_uint64, ()),
            ("dc_block", ctypes.c_int, (u32p,)),
            ("dc_grid", ctypes.c_int, (u32p, u32p)),
            ("dc_domain", ctypes.c_int, (ctypes.c_char_p,)),
            ("dc_mask", ctypes.c_int64, (pointer, ctypes.c_size_t)),
            ("dc_error", ctypes.c_char_p, ()),
        ):
            function = getattr(lib, name)
            function.restype, function.argtypes = returned, list(arguments)
        return lib
    why = f" ({'; '.join(tried)})" if tried else ""
    raise LibraryError(f"libdcspool.so.0 is not found{why}: set DC_LIB to it or to its directory")


def _lib() -> ctypes.CDLL:
    global _loaded
    if _loaded is None:
        with _loading:
            if _loaded is None:
                _loaded = _load()
    return _loaded


def _said() -> str:
    return _lib().dc_error().decode("utf-8", "replace")


def _checked(status: int) -> int:
    """What a call returned, or the exception for it."""
    if status >= 0:
        return status
    raise _ERRORS.get(status, Error)(_said())


def _view(data: Any) -> memoryview:
    try:
        view = memoryview(data)
    except TypeError:
        raise InvalidError(f"{type(data).__name__} is no buffer: give an array, bytes or a numpy array") from None
    if not view.c_contiguous:
        raise InvalidError("the values do not lie one after another in memory: give a contiguous array (C order)")
    return view


def _address(view: memoryview, keep: List[Any]) -> int:
    """Where the bytes of a view are. What must live as long as the address goes to `keep`."""
    if view.nbytes == 0:
        return 0
    if view.readonly:
        # The address of a read-only buffer is not to be had: bytes are taken as they are, others copied.
        data = view.obj if isinstance(view.obj, bytes) and len(view.obj) == view.nbytes else view.tobytes()
        held: Any = ctypes.c_char_p(data)
        keep.append((held, data))
        return ctypes.cast(held, ctypes.c_void_p).value or 0
    # Arrays of no axis, such as numpy scalars have, are bytes too.
    flat = view.cast("B") if view.ndim and view.format != "B" else view
    held = (ctypes.c_char * view.nbytes).from_buffer(flat)
    keep.append((held, view))
    return ctypes.addressof(held)


def _regions(regions: Regions, writable: bool, keep: List[Any]) -> Tuple[Any, int]:
    pairs = list(regions.items() if isinstance(regions, Mapping) else regions)
    all_of = (_Region * len(pairs))()
    for place, (number, data) in zip(all_of, pairs):
        if not isinstance(number, int) or not 0 <= number < 1 << 32:
            raise InvalidError(f"{number!r} is no number of a region: it is from 0 to 4294967295")
        view = _view(data)
        if writable and view.readonly:
            raise InvalidError(f"region {number} cannot be written: it is read-only")
        place.id, place.bytes = number, view.nbytes
        place.data = _address(view, keep) or None
    return all_of, len(pairs)


def _count(value: int, what: str) -> int:
    number = int(value)
    if not 0 <= number < 1 << 64:
        raise InvalidError(f"{what} {number} is not from 0 to 18446744073709551615")
    return number


def restore(regions: Regions) -> Optional[int]:
    """Fills the regions, {id: buffer}, from the checkpoint to go on from. Returns its step, or None where there is none.

    Ids and lengths must be exactly those that were written; else MismatchError, and nothing is changed.
    """
    keep: List[Any] = []
    table, count = _regions(regions, True, keep)
    step = ctypes.c_uint64(0)
    return step.value if _checked(_lib().dc_restore(table, count, ctypes.byref(step))) == 1 else None


def checkpoint_due() -> bool:
    """Whether a checkpoint is due. Cheap enough for every step."""
    return _checked(_lib().dc_checkpoint_due()) == 1


def checkpoint(step: int, regions: Regions) -> None:
    """Writes a checkpoint of the regions, {id: buffer}; it is safely on disk on return.

    After an exception nothing of it is left, the checkpoints before it stay, and the program may go on.
    """
    keep: List[Any] = []
    table, count = _regions(regions, False, keep)
    _checked(_lib().dc_checkpoint(_count(step, "step"), table, count))


def progress(cells: int) -> None:
    """Says how many of the subtask's cells are done."""
    _checked(_lib().dc_progress(_count(cells, "progress")))


def _dtype_of(view: memoryview) -> str:
    code = view.format.lstrip("@=<") if view.itemsize > 1 else view.format.lstrip("@=<>!|")
    kind = "f" if code in ("f", "d") else "u" if code in tuple("?BHILQNc") else "i" if code in tuple("bhilqn") else ""
    name = f"{kind}{view.itemsize}"
    if name not in _DTYPES:
        raise InvalidError(f"values of the format {view.format!r} are none of {' '.join(_DTYPES)}, little-endian")
    return name


def result(data: Any, dtype: Optional[str] = None, layout: Optional[str] = None, values_per_cell: int = 1) -> None:
    """Hands over the result; it is safely on disk on return, and counts when the program then ends with status 0.

    `data` is a buffer, whose type tells that of the values, or a sequence of numbers with `dtype` ("f8"). bytes without
    a `dtype` are just that (layout "bytes"); else the layout is "effective", or "block" for every cell of the block.
    """
    if dtype is not None and dtype not in _DTYPES:
        raise InvalidError(f"there is no type {dtype!r}: one of {' '.join(_DTYPES)}")
    if isinstance(data, (list, tuple, range)):
        if dtype is None:
            raise InvalidError("numbers need their type: dtype='f8' for example")
        codes = {f"{'f' if c in 'fd' else 'u' if c in 'BHIQ' else 'i'}{array.array(c).itemsize}": c for c in "bBhHiIqQfd"}
        try:
            data = array.array(codes[dtype], data)
        except (OverflowError, TypeError) as error:
            raise InvalidError(f"the numbers are not all of type {dtype}: {error}") from None
    view = _view(data)
    is_bytes = isinstance(data, (bytes, bytearray))
    if dtype is None:
        dtype = "u1" if is_bytes else _dtype_of(view)
        layout = layout or ("bytes" if is_bytes else None)
    elif not is_bytes and view.format != "B" and _dtype_of(view) != dtype:
        raise InvalidError(f"the values are of type {_dtype_of(view)}, not {dtype}")
    layout = layout or "effective"
    if layout not in _LAYOUTS:
        raise InvalidError(f"there is no layout {layout!r}: one of {' '.join(_LAYOUTS)}")
    size = int(dtype[1])
    if view.nbytes % size:
        raise InvalidError(f"{view.nbytes} bytes are not a whole number of {dtype} values")
    if not 0 <= values_per_cell < 1 << 32:
        raise InvalidError(f"values_per_cell {values_per_cell} is not from 1 to 4294967295")
    keep: List[Any] = []
    address = _address(view, keep)
    count = view.nbytes // size
    _checked(_lib().dc_result(_DTYPES[dtype], values_per_cell, _LAYOUTS[layout], address or None, count))


def subtask() -> int:
    """This subtask's number, from 0."""
    _environment()
    return _lib().dc_subtask()


def rank() -> int:
    """The lane it runs in, from 0."""
    _environment()
    return _lib().dc_rank()


def attempt() -> int:
    """Its attempt, from 1."""
    _environment()
    return _lib().dc_attempt()


def cells() -> int:
    """This subtask's cost in effective cells; 0 where nothing is known."""
    _environment()
    return _lib().dc_cells()


def _environment() -> None:
    """The exception for an environment that cannot be used, which functions that return numbers do not tell."""
    _checked(_lib().dc_checkpoint_due())


def block() -> Optional[Block]:
    """This subtask's block of the grid, or None where the job has no domain."""
    corners = (ctypes.c_uint32 * 4)()
    return Block(*corners) if _checked(_lib().dc_block(corners)) == 1 else None


def grid() -> Optional[Grid]:
    """Columns and rows of the whole grid, or None where the job has no domain."""
    nx, ny = ctypes.c_uint32(), ctypes.c_uint32()
    return Grid(nx.value, ny.value) if _checked(_lib().dc_grid(nx, ny)) == 1 else None


def domain(path: Union[str, "os.PathLike[str]"]) -> None:
    """For a run by hand: takes this file as the domain, with the whole grid as the block."""
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise InvalidError("a path holds no NUL")
    _checked(_lib().dc_domain(encoded))


def mask(out: Any = None) -> Any:
    """One byte for each cell of the block, row by row: 1 where it is effective, else 0. Fills `out`, or a bytearray."""
    if out is None:
        own = block()
        if own is None:
            effective()  # Says why there is none.
            return bytearray()
        out = bytearray(own.width * own.height)
    view = _view(out)
    if view.readonly:
        raise InvalidError("the mask cannot be filled: it is read-only")
    keep: List[Any] = []
    address = _address(view, keep)
    _checked(_lib().dc_mask(address or None, view.nbytes))
    return out


def effective() -> int:
    """How many cells of the block are effective: the entries of a result."""
    return _checked(_lib().dc_mask(None, 0))
