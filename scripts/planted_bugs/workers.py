"""Bugs in the workers of ``--jobs``: who ends, what is lost, and what is done twice."""

from __future__ import annotations

_POOL, _WORKER = "jobs/pool.py", "jobs/workers.py"

BUGS = {
    "workers: an item whose worker ended is lost": (
        _POOL, "            self.again.append(number)\n", ""
    ),
    "workers: it is never left out": (_POOL, "            self.tried.add(number)\n", ""),
    "workers: it is not tried again": (
        _POOL,
        "if number not in self.tried:\n            self.tried",
        "if False:\n            self.tried",
    ),
    "workers: it is tried beside others": (
        _POOL, "self.again.append(number)", "self.waiting.append(number)"
    ),
    "workers: others keep the memory": (_POOL, "                self.pool.alone()\n", ""),
    "workers: the last results of one that ended are lost": (
        _WORKER,
        "            if self.connection.poll():\n",
        "            if not gone and self.connection.poll():\n",
    ),
    "workers: an item is given to two": (
        _POOL, "deque(range(len(items)))", "deque([0, *range(len(items))])"
    ),
    "workers: a start that is killed is not repeated": (
        _POOL, "if worker.crashed and", "if False and"
    ),
    "workers: as many as asked for": (
        _POOL, "min(workers, _PER_CORE * _cores())", "workers"
    ),
    "workers: more than items": (
        _POOL, "self.pool.staff(len(self.waiting) + self._busy())", "self.pool.staff(1000)"
    ),
    "workers: a run leaves them busy": (
        _POOL, "            if not finished:\n                self.stop()", "            pass"
    ),
    "workers: they are killed without cleaning up": (
        _WORKER, "self._process.terminate()", "self._process.kill()"
    ),
    "workers: Ctrl-C reaches them": (
        _WORKER, "signal.SIG_BLOCK, {signal.SIGINT}", "signal.SIG_BLOCK, set()"
    ),
    "workers: all threads": (_WORKER, "    torch.set_num_threads(1)\n", ""),
    "workers: all threads of numpy": (_WORKER, "    threadpool_limits(1)\n", ""),
    "workers: they return freed memory": (_WORKER, "    keep_memory()\n", ""),
    "workers: the command returns freed memory": ("cli/main.py", "    keep_memory()\n", ""),
    "workers: errors lose their kind": (
        _WORKER, "pickle.loads(pickle.dumps(error))", "RuntimeError(str(error))"
    ),
    "workers: predictions come in another order": (
        "cli/predict.py", "in found if jobs == 1 else _in_order(tasks, found):", "in found:"
    ),
    "workers: results of a grid come in another order": (
        "benchmark/ledger.py", "    if ordered != lines:\n", "    if False:\n"
    ),
    "workers: a sound that was left out counts as measured": (
        "benchmark/engine.py",
        "            return []\n\n        for part",
        "            ledger.add(lost)\n            return []\n\n        for part",
    ),
    "workers: a recording that was left out is scored": (
        "recordings/scoring.py",
        'return [Scored(task, f"{task.name}: {reason}")]',
        "return [Scored(task)]",
    ),
}  # fmt: skip
