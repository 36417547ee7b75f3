"""The modules of the report's engine on an empty page, called from Python."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

MODULES = (
    "fft", "stft", "unpack", "payloads", "gains", "strokes", "loudness", "resample",
    "heterodyne", "original", "transport", "exports", "places", "api",
)  # fmt: skip
_ARRAYS = """
window.give = text => new Float32Array(
    Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer);
window.take = array => {
    const bytes = new Uint8Array(Float32Array.from(array).buffer);
    let text = "";
    for (let k = 0; k < bytes.length; k += 8192) {
        text += String.fromCharCode(...bytes.subarray(k, k + 8192));
    }
    return btoa(text);
};
"""
_NO_DESK = "function deskState() { return { clip: null }; }\nfunction deskSeek() {}\n"


def engine_page(more: Sequence[str] = ()) -> str:
    """Return a page on which all functions of the engine, and of more modules, are global."""
    folder = files("earwitness.report").joinpath("desk")
    text = "\n".join(folder.joinpath(f"{name}.js").read_text("utf-8") for name in (*MODULES, *more))
    names = re.findall(r"^(?:async )?(?:function|const) (\w+)", text, re.M)
    script = f'(() => {{ "use strict";\n{text}\n{_NO_DESK}{_ARRAYS}'
    script += f"Object.assign(window, {{ {', '.join(names)} }}); }})();"
    return f"<!doctype html><meta charset='utf-8'><script>{script}</script>"


def packed(values: ArrayLike) -> str:
    """Return an array as text that ``give`` reads."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def call(page: Any, expression: str, **values: Any) -> Any:
    """Return the value of an expression; arrays given by name are Float32Arrays in it."""
    arrays = {name: packed(v) for name, v in values.items() if isinstance(v, np.ndarray)}
    plain = {name: v for name, v in values.items() if name not in arrays}
    names = ", ".join(values)
    code = f"""async ([arrays, plain]) => {{
        for (const name in arrays) plain[name] = give(arrays[name]);
        const {{ {names} }} = plain;
        return {expression};
    }}"""
    return page.evaluate(code, [arrays, plain])


def array(page: Any, expression: str, **values: Any) -> NDArray[np.float32]:
    """Return an array that an expression gives."""
    text = call(page, f"take(await ({expression}))", **values)
    return np.frombuffer(base64.b64decode(text), "<f4")


def decibels(error: ArrayLike, reference: ArrayLike) -> float:
    """Return the energy of an error relative to that of a reference, in dB."""
    wrong, right = np.asarray(error, np.float64), np.asarray(reference, np.float64)
    return float(10 * np.log10(max((wrong**2).sum(), 1e-300) / (right**2).sum()))
