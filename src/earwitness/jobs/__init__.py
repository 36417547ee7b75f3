"""How work on many sounds is cut, run and resumed on this machine."""
