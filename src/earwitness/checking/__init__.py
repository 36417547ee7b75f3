"""What a model is, found by evaluating it: the first thing to run on a new one."""
