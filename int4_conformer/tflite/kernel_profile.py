"""Which kernels LiteRT runs for a file, as its own profiler tells.

The profiler is a part of LiteRT's C API, which no Python class of it shows: `libLiteRt`, beside
those classes, is called directly. XNNPACK names each operator that it runs by what it multiplies,
such as "Fully Connected (NC, QD8, F32, QC4W) GEMM": rows quantized to 8 bits as they come, float32
out, 4-bit weights with a scale a channel. What it leaves to LiteRT's builtin kernels is an event
with the name of the operator, FULLY_CONNECTED.
"""

import collections
import contextlib
import ctypes
import dataclasses
import functools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ai_edge_litert
import numpy as np

from int4_conformer.errors import UserError

_LIBRARIES = {"win32": "libLiteRt.dll", "darwin": "libLiteRt.dylib"}
_CPU = 1
# Kernels by whose they are, as `Metadata.delegate`, in the words of `litert_cpu_options.cc`.
_KERNEL_MODES = {"xnnpack": b"delegate", "none": b"builtin"}
_DTYPES = {1: np.float32, 2: np.int32, 3: np.uint8, 4: np.int64, 6: np.bool_, 9: np.int8}
_LOCK_READ, _LOCK_WRITE = 0, 1
_OPERATOR_INVOKED, _DELEGATE_OPERATOR_INVOKED = 1 << 1, 1 << 3
_MOST_AXES = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """What one run of a signature computed, and how."""

    # By name.
    outputs: dict[str, np.ndarray] = dataclasses.field(repr=False)
    # How often each kernel ran, by the index of the subgraph that it ran for: names of XNNPACK's
    # operators, and of the file's operators that LiteRT's builtin kernels computed.
    kernels: dict[int, collections.Counter[str]]
    # Microseconds that each took, all runs of it together, by the same names; those of a loop have
    # what its body took.
    microseconds: dict[int, collections.Counter[str]]


def profile(
    content: bytes, signature: str, inputs: Mapping[str, np.ndarray], delegate: str = "xnnpack"
) -> Profile:
    """Runs a signature of a file once.

    Args:
        content: the whole file.
        signature: its name.
        inputs: by name, in the types of the file; axes that it leaves open have any length. The
            sizes of the outputs must follow from theirs, as recognisers' do.
        delegate: whose kernels run, as `Metadata.delegate`.

    Raises:
        UserError: the LiteRT that is installed has no such profiler, or cannot run the file.
    """
    with contextlib.ExitStack() as stack:
        run = _Run(stack, content, delegate)
        return run.profile(run.signature_index(signature), inputs)


class _Layout(ctypes.Structure):
    # The lowest 7 bits of `rank` are the number of axes, the next says whether there are strides.
    _fields_ = (
        ("rank", ctypes.c_uint32),
        ("dimensions", ctypes.c_int32 * _MOST_AXES),
        ("strides", ctypes.c_uint32 * _MOST_AXES),
    )

    @property
    def shape(self) -> list[int]:
        return self.dimensions[: self.rank & 0x7F]


class _TensorType(ctypes.Structure):
    _fields_ = (("dtype", ctypes.c_int32), ("layout", _Layout))


class _Event(ctypes.Structure):
    _fields_ = (
        ("tag", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory", ctypes.c_size_t * 6),
        ("node", ctypes.c_uint64),
        ("subgraph", ctypes.c_uint64),
        ("source", ctypes.c_int),
    )


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _keep(_: int) -> None:
    """Frees options that Python frees."""


@functools.cache
def _library() -> ctypes.CDLL:
    name = _LIBRARIES.get(sys.platform, "libLiteRt.so")
    path = Path(ai_edge_litert.__file__).parent / name
    try:
        library = ctypes.CDLL(str(path))
        library.LiteRtCompiledModelGetProfiler  # noqa: B018 (raises if it is not there)
    except (OSError, AttributeError) as error:
        raise UserError(
            f"The installed LiteRT does not tell which kernels it runs ({error}); install "
            "ai-edge-litert 2.3."
        ) from error
    return library


class _Run:
    """A file that LiteRT has compiled with its profiler on."""

    def __init__(self, stack: contextlib.ExitStack, content: bytes, delegate: str):
        self._stack = stack
        self._held: list[Any] = [content]
        self._environment = self._made("Environment", 0, None)
        # A bytes object is where its content is, which ctypes sees.
        self._model = self._made(
            "Model", self._environment, content, _size(len(content)), create="CreateModelFromBuffer"
        )
        options = self._made("Options")
        _call("SetOptionsHardwareAccelerators", options, _CPU)
        for name, text in (
            (b"runtime_options_string", b"enable_profiling = true\n"),
            (b"xnnpack", b'kernel_mode = "%s"\nnum_threads = 1\n' % _KERNEL_MODES[delegate]),
        ):
            payload = ctypes.create_string_buffer(text)
            self._held.append(payload)
            _call("AddOpaqueOptions", options, _got("CreateOpaqueOptions", name, payload, _keep))
        self._compiled = self._made("CompiledModel", self._environment, self._model, options)

    def signature_index(self, name: str) -> int:
        for index in range(_count("GetNumModelSignatures", self._model)):
            signature = _got("GetModelSignature", self._model, _size(index))
            if _text("GetSignatureKey", signature) == name:
                return index
        raise UserError(f"The file has no signature {name!r}.")

    def profile(self, index: int, inputs: Mapping[str, np.ndarray]) -> Profile:
        signature = _got("GetModelSignature", self._model, _size(index))
        given = [inputs[name] for name in _names(signature, "Input")]
        for position, (values, type_) in enumerate(
            zip(given, _types(signature, "Input"), strict=True)
        ):
            if type_.layout.shape != list(values.shape):
                sizes = (ctypes.c_int * values.ndim)(*values.shape)
                place = (self._compiled, _size(index), _size(position))
                _call("CompiledModelResizeInputTensorNonStrict", *place, sizes, _size(values.ndim))
        sources = self._buffers(index, "Input", [_type_of(values) for values in given])
        for buffer, values in zip(sources, given, strict=True):
            with _locked(buffer, _LOCK_WRITE) as address:
                values = np.ascontiguousarray(values)
                ctypes.memmove(address, values.ctypes.data, values.nbytes)
        names, types = _names(signature, "Output"), _types(signature, "Output")
        layouts = (_Layout * len(types))()
        _call(
            "GetCompiledModelOutputTensorLayouts",
            *(self._compiled, _size(index), _size(len(types)), layouts, ctypes.c_bool(True)),
        )
        for type_, layout in zip(types, layouts, strict=True):
            type_.layout = layout
        targets = self._buffers(index, "Output", types)
        profiler = _got("CompiledModelGetProfiler", self._compiled)
        _call("StartProfiler", profiler)
        _call(
            "RunCompiledModel",
            *(self._compiled, _size(index)),
            *(_size(len(sources)), (ctypes.c_void_p * len(sources))(*sources)),
            *(_size(len(targets)), (ctypes.c_void_p * len(targets))(*targets)),
        )
        _call("StopProfiler", profiler)
        outputs = {
            name: _values(buffer, type_)
            for name, buffer, type_ in zip(names, targets, types, strict=True)
        }
        kernels, microseconds = _kernels(profiler)
        return Profile(outputs=outputs, kernels=kernels, microseconds=microseconds)

    def _made(self, kind: str, *arguments: Any, create: str = "") -> ctypes.c_void_p:
        """A new object, which is destroyed at the end."""
        made = _got(create or f"Create{kind}", *arguments)
        destroy = getattr(_library(), f"LiteRtDestroy{kind}")
        destroy.restype = None
        self._stack.callback(destroy, made)
        return made

    def _buffers(self, index: int, kind: str, types: list[_TensorType]) -> list[ctypes.c_void_p]:
        buffers = []
        for position, type_ in enumerate(types):
            requirements = _got(
                f"GetCompiledModel{kind}BufferRequirements",
                *(self._compiled, _size(index), _size(position)),
            )
            buffers.append(
                self._made(
                    "TensorBuffer",
                    *(self._environment, ctypes.byref(type_), requirements),
                    create="CreateManagedTensorBufferFromRequirements",
                )
            )
        return buffers


def _kernels(
    profiler: ctypes.c_void_p,
) -> tuple[dict[int, collections.Counter[str]], dict[int, collections.Counter[str]]]:
    """How often each kernel ran, and the microseconds that it took."""
    count = ctypes.c_int()
    _call("GetNumProfilerEvents", profiler, ctypes.byref(count))
    events = (_Event * count.value)()
    _call("GetProfilerEvents", profiler, count, events)
    kernels, microseconds = (collections.defaultdict(collections.Counter) for _ in range(2))
    for event in events:
        if event.type in (_OPERATOR_INVOKED, _DELEGATE_OPERATOR_INVOKED):
            kernels[event.subgraph][event.tag.decode()] += 1
            microseconds[event.subgraph][event.tag.decode()] += event.elapsed_us
    return dict(kernels), dict(microseconds)


def _call(name: str, *arguments: Any) -> None:
    status = getattr(_library(), f"LiteRt{name}")(*arguments)
    if status:
        raise UserError(
            f"LiteRT cannot run this file under its profiler (LiteRt{name} gives {status}); export "
            "the model again."
        )


def _got(name: str, *arguments: Any) -> ctypes.c_void_p:
    """The handle that a call gives."""
    handle = ctypes.c_void_p()
    _call(name, *arguments, ctypes.byref(handle))
    return handle


def _size(value: int) -> ctypes.c_size_t:
    return ctypes.c_size_t(value)


def _count(name: str, handle: ctypes.c_void_p) -> int:
    count = ctypes.c_size_t()
    _call(name, handle, ctypes.byref(count))
    return count.value


def _text(name: str, *arguments: Any) -> str:
    text = ctypes.c_char_p()
    _call(name, *arguments, ctypes.byref(text))
    return text.value.decode()


def _names(signature: ctypes.c_void_p, kind: str) -> list[str]:
    """Of the inputs or outputs of a signature."""
    count = _count(f"GetNumSignature{kind}s", signature)
    return [_text(f"GetSignature{kind}Name", signature, _size(i)) for i in range(count)]


def _types(signature: ctypes.c_void_p, kind: str) -> list[_TensorType]:
    types = []
    for index in range(_count(f"GetNumSignature{kind}s", signature)):
        tensor = _got(f"GetSignature{kind}TensorByIndex", signature, _size(index))
        types.append(_TensorType())
        _call("GetRankedTensorType", tensor, ctypes.byref(types[-1]))
    return types


def _type_of(values: np.ndarray) -> _TensorType:
    (code,) = (code for code, dtype in _DTYPES.items() if values.dtype == dtype)
    type_ = _TensorType(dtype=code)
    type_.layout.rank = values.ndim
    type_.layout.dimensions[: values.ndim] = values.shape
    return type_


def _values(buffer: ctypes.c_void_p, type_: _TensorType) -> np.ndarray:
    values = np.empty(type_.layout.shape, _DTYPES[type_.dtype])
    with _locked(buffer, _LOCK_READ) as address:
        ctypes.memmove(values.ctypes.data, address, values.nbytes)
    return values


@contextlib.contextmanager
def _locked(buffer: ctypes.c_void_p, mode: int) -> Iterator[int]:
    """Where the values of a buffer are."""
    address = ctypes.c_void_p()
    _call("LockTensorBuffer", buffer, ctypes.byref(address), mode)
    try:
        yield address
    finally:
        _call("UnlockTensorBuffer", buffer)
