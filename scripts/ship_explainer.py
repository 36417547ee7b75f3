"""Write a trained explainer into the package: ``python scripts/ship_explainer.py KIND FOLDER``.

KIND is ``lmac`` or ``l2i``; FOLDER is what ``earwitness train KIND`` wrote for the built-in model
``esc10``. Its numbers are stored in half precision.
"""

import sys
from pathlib import Path

from earwitness.decoders.folder import load_explainer, save_explainer
from earwitness.decoders.interpreter import load_interpreter, save_interpreter

WEIGHTS = Path(__file__).parents[1] / "src/earwitness/models/zoo/weights/esc10"

if __name__ == "__main__":
    kind, folder = sys.argv[1], Path(sys.argv[2])
    if kind == "lmac":
        save_explainer(WEIGHTS / kind, load_explainer(folder), half=True)
    else:
        save_interpreter(WEIGHTS / kind, load_interpreter(folder), half=True)
