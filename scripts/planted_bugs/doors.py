"""Bugs in the checks of files and options, and in what the command prints."""

from __future__ import annotations

BUGS = {
    "sound: soundfile seeks after every read of an MP3": (
        "audio.py",
        "    def seekable(self) -> bool:\n        return False",
        "    def seekable(self) -> bool:\n        return True",
    ),
    "sound: an MP3 is read right after a seek": (
        "audio.py",
        "start = max(0, first - _SETTLES * file.samplerate)",
        "start = first",
    ),
    "sound: stretches of NaN lose their first gap": (
        "stream.py",
        "np.split(wrong, gaps + 1)",
        "np.split(wrong, gaps[1:] + 1)",
    ),
    "model: buffers that were written to stay so": (
        "models/calling/restoring.py",
        "if not torch.equal(buffer, before):",
        "if False:",
    ),
    "model: buffers that were replaced stay so": (
        "models/calling/restoring.py",
        "if not scripted and getattr",
        "if False and getattr",
    ),
    "model: numpy goes on from its own draws": (
        "models/calling/restoring.py",
        "        np.random.seed(0)  # noqa: NPY002\n",
        "",
    ),
    "model: the state of Python's generator is lost": (
        "models/calling/restoring.py",
        "            random.setstate(plain)\n",
        "",
    ),
    "model: modes are restored behind the network's back": (
        "models/calling/modes.py",
        "                _set_mode(module, training)\n",
        "                pass\n",
    ),
    "model: a loop called train is called": (
        "models/calling/modes.py",
        "module.train(training) if own else",
        "module.train(training) if 1 else",
    ),
    "model: half precision rounds every waveform": (
        "models/adapters/torch.py",
        "if self.dtype == torch.float32 or self._takes_float32 is False:",
        "if True:",
    ),
    "sound: an end after the last sample of an array is not said": (
        "subject.py",
        "*past_the_end(end, last, audio.rate)",
        "",
    ),
    "sound: a part of no sample is taken": (
        "audio.py",
        "if end is not None and round(end * rate) <= first:",
        "if end is not None and end <= (start or 0.0):",
    ),
    "doors: the header is not asked": (
        "audio.py",
        "                check_length(name, (last - first) / rate, longest)\n",
        "                pass\n",
    ),
    "doors: a stream of unknown length has no end": (
        "audio.py",
        "last = first + math.ceil(longest * rate) + 1",
        "pass",
    ),
    "doors: a hertz is resampled": (
        "samples.py",
        "given < _LEAST_SHARE * wanted",
        "given < 0",
    ),
    "doors: gigahertz leave nothing": (
        "samples.py",
        "len(samples) < min(_FEWEST, self.count)",
        "len(samples) < 0",
    ),
    "doors: the end of a resampled sound is lost": (
        "samples.py",
        "resample_chunk(np.zeros(0, np.float32), last=True)",
        "resample_chunk(np.zeros(0, np.float32))",
    ),
    "doors: the last blocks are lost": (
        "audio.py",
        "    if blocks:\n        found.add(np.concatenate(blocks))\n",
        "",
    ),
    "doors: pipes are read": (
        "audio.py",
        "    if not path.is_file():\n",
        "    if path.is_symlink():\n",
    ),
    "doors: one error ends predict": (
        "jobs/predicting.py",
        "except Exception as error",
        "except ZeroDivisionError as error",
    ),
    "doors: descriptor 1 is not reserved": (
        "cli/results.py",
        "        _lead(1, 2)\n",
        "        pass\n",
    ),
    "doors: prints get into results": (
        "cli/results.py",
        "redirect_stdout(sys.stderr)",
        "redirect_stdout(sys.stdout)",
    ),
    "doors: a full output is a bug": (
        "cli/main.py",
        "except OSError as error:  # a full disk, say",
        "except ZeroDivisionError as error:",
    ),
    "doors: the folder stays changed": (
        "files.py",
        "            os.chdir(here)\n",
        "            pass\n",
    ),
    "doors: names must be UTF-8": (
        "files.py",
        'errors="backslashreplace"',
        'errors="strict"',
    ),
    "doors: shapes are not compared": (
        "weights.py",
        "except Exception as error:",
        "except KeyError as error:",
    ),
    "doors: a decoder of nothing": (
        "decoders/folder.py",
        'if not isinstance(model["weights"], str) or',
        "if",
    ),
    "doors: counts of any kind": (
        "decoders/folder.py",
        'if not all(isinstance(count, int) for count in [*stored["facts"].get("asked", ())]):',
        "if False:",
    ),
    "doors: outputs of any kind": (
        "models/fingerprint.py",
        "if not isinstance(theirs, list) or len(ours) != len(theirs):",
        "if np.shape(ours) != np.shape(theirs):",
    ),
    "doors: a table in Latin-1": (
        "files.py",
        "except UnicodeDecodeError as reason",
        "except ZeroDivisionError as reason",
    ),
    "doors: folds of any text": (
        "data/collection.py",
        "text.isascii() and text.isdecimal() and len(text) < 10",
        "text",
    ),
    "doors: 1e20 steps": (
        "options.py",
        "_MOST < abs(plain) < math.inf",
        "math.inf < abs(plain)",
    ),
    "doors: nan seconds": (
        "cli/options.py",
        "if not math.isfinite(found)",
        "if found is None",
    ),
    "policy: any script runs": (
        "render/policy.py",
        "found = f\"'sha256-{digest}'\"",
        "found = \"'unsafe-inline'\"",
    ),
    "policy: of another script": (
        "render/policy.py",
        'script.encode("utf-8")',
        'script.strip().encode("utf-8")',
    ),
}
