"""Write a trained interpreter into the package: ``python scripts/ship_interpreter.py FOLDER``.

FOLDER is what ``earwitness train l2i`` wrote for the built-in model ``esc10``. Its numbers are
stored in half precision.
"""

import sys
from pathlib import Path

from earwitness.decoders.interpreter import load_interpreter, save_interpreter

WEIGHTS = Path(__file__).parents[1] / "src/earwitness/models/zoo/weights"

if __name__ == "__main__":
    save_interpreter(WEIGHTS / "esc10" / "l2i", load_interpreter(Path(sys.argv[1])), half=True)
