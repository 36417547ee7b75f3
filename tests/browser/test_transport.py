"""What leaves the loudspeaker: rendered by the transport on an offline clock, and live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from earwitness.audio import write_audio
from earwitness.types import Audio
from tests.browser.engine import array, call, decibels

pytestmark = pytest.mark.browser
OUT = 48000  # Hz, of the offline clock
FADE = 480  # frames, 10 ms
RAMP = np.arange(FADE) / FADE


def noise(seed: int, rate: int = OUT, seconds: float = 1.0, level: float = 0.05) -> Any:
    samples = np.random.default_rng(seed).standard_normal(round(rate * seconds))
    return (level * samples).astype(np.float32)


def rendered(
    page: Any,
    sounds: dict[str, NDArray[np.float32]],
    rate: int = OUT,
    before: str = "",
    expansion: int = 1,
    **asked: Any,
) -> NDArray[np.float32]:
    """Return what is heard of sounds; ``before`` is code that sets up the transport."""
    code = f"""(async () => {{
        const transport = makeTransport();
        transport.load({{ {", ".join(sounds)} }}, rate, {{ expansion }});
        {before}
        return transport.renderOffline(asked);
    }})()"""
    return array(page, code, rate=rate, expansion=expansion, asked=asked, **sounds)


def gains_of(page: Any, sounds: dict[str, NDArray[np.float32]], rate: int = OUT) -> Any:
    return call(page, f"levelGains({{ {', '.join(sounds)} }}, rate)", rate=rate, **sounds)


def quantum(seconds: float) -> int:
    """Return the frame at which an offline clock can stop."""
    return int(-(-round(seconds * OUT) // 128) * 128)


def test_a_sound_is_played_at_its_level_from_its_first_sample(engine: Any) -> None:
    sounds = {"input": noise(0), "evidence": 0.2 * noise(0), "remainder": 0.8 * noise(0)}
    gain = gains_of(engine, sounds)["evidence"]
    heard = rendered(engine, sounds, source="evidence", seconds=1.0)
    wanted = gain * sounds["evidence"]
    wanted[:FADE] *= RAMP
    np.testing.assert_allclose(heard, wanted, rtol=0, atol=1e-6)


def test_switching_crosses_both_sounds_at_the_same_position(engine: Any) -> None:
    sounds = {"input": noise(0), "evidence": noise(1, level=0.01), "remainder": noise(2)}
    gain = gains_of(engine, sounds)
    steps = [[0.31, "choose", "evidence"], [0.6, "choose", "remainder"]]
    heard = rendered(engine, sounds, source="input", seconds=1.0, steps=steps)
    weights = {name: np.zeros(OUT) for name in sounds}
    first, second = quantum(0.31), quantum(0.6)
    weights["input"][:first] = 1
    weights["input"][:FADE] = RAMP
    weights["input"][first : first + FADE] = 1 - RAMP
    weights["evidence"][first : first + FADE] = RAMP
    weights["evidence"][first + FADE : second] = 1
    weights["evidence"][second : second + FADE] = 1 - RAMP
    weights["remainder"][second : second + FADE] = RAMP
    weights["remainder"][second + FADE :] = 1
    wanted = sum(weights[name] * gain[name] * sounds[name] for name in sounds)
    np.testing.assert_allclose(heard, wanted, rtol=0, atol=1e-6)


def test_switching_makes_no_click(engine: Any) -> None:
    """The largest step from sample to sample is that of the sounds, not of the switch."""
    time = np.arange(OUT) / OUT
    tone = (0.1 * np.sin(2 * np.pi * 200 * time)).astype(np.float32)
    sounds = {"input": tone, "evidence": -tone, "remainder": tone}
    steps = [[0.1 * k, "choose", ("input", "evidence")[k % 2]] for k in range(1, 9)]
    heard = rendered(engine, sounds, source="input", seconds=1.0, steps=steps)
    gain = gains_of(engine, sounds)["input"]
    slope = gain * 0.1 * 2 * np.pi * 200 / OUT
    fade = 2 * gain * 0.1 / FADE  # from a sound to its opposite in 10 ms
    assert np.abs(np.diff(heard)).max() <= slope + fade
    assert np.abs(heard).max() > 0.99 * gain * 0.1


def test_equal_sounds_are_switched_without_a_trace_however_quickly(engine: Any) -> None:
    sounds = dict.fromkeys(("input", "evidence", "remainder"), noise(3))
    plain = rendered(engine, sounds, source="input", seconds=1.0)
    steps = [
        [0.2 + 128 * k / OUT, "choose", ("evidence", "remainder", "input")[k % 3]] for k in range(9)
    ]  # a step each 2.7 ms, quicker than the fades
    heard = rendered(engine, sounds, source="input", seconds=1.0, steps=steps)
    np.testing.assert_allclose(heard, plain, rtol=0, atol=1e-6)


def test_a_sound_is_replaced_where_it_is(engine: Any) -> None:
    """As when the dial is moved while the evidence plays."""
    old, new = noise(4), noise(5)
    sounds = {"input": noise(6), "evidence": old, "remainder": noise(7), "next": new}
    code = """(async () => {
        const transport = makeTransport();
        transport.load({ input, evidence, remainder }, 48000);
        const steps = [[0.5, "replace", "evidence", next]];
        return transport.renderOffline({ source: "evidence", seconds: 1, steps });
    })()"""
    heard = array(engine, code, **sounds)
    three = {name: sounds[name] for name in ("input", "evidence", "remainder")}
    before, after = gains_of(engine, three), gains_of(engine, {**three, "evidence": new})
    at = quantum(0.5)
    np.testing.assert_allclose(heard[FADE:at], before["evidence"] * old[FADE:at], rtol=0, atol=1e-6)
    late = slice(at + FADE, None)
    np.testing.assert_allclose(heard[late], after["evidence"] * new[late], rtol=0, atol=1e-6)


def test_a_loop_repeats_to_the_sample_from_its_beginning(engine: Any) -> None:
    sounds = {"input": noise(8)}
    gain = gains_of(engine, sounds)["input"]
    heard = rendered(
        engine, sounds, source="input", seconds=1.0, before="transport.loop(0.25, 0.4);"
    )
    # from 0 on, then 0.25 to 0.4 s for ever
    position = np.arange(OUT)
    start, end = round(0.25 * OUT), round(0.4 * OUT)
    position = np.where(position < end, position, start + (position - start) % (end - start))
    wanted = gain * sounds["input"][position]
    np.testing.assert_allclose(heard[FADE:], wanted[FADE:], rtol=0, atol=1e-6)


def test_a_switch_in_a_loop_stays_in_place(engine: Any) -> None:
    sounds = {"input": noise(9), "evidence": noise(10)}
    gain = gains_of(engine, sounds)["evidence"]
    steps = [[0.7, "choose", "evidence"]]
    heard = rendered(
        engine, sounds, source="input", seconds=1.0, steps=steps,
        before="transport.loop(0.1, 0.35);", **{"from": 0.2},
    )  # fmt: skip
    start, end = round(0.1 * OUT), round(0.35 * OUT)
    position = round(0.2 * OUT) + np.arange(OUT)
    position = np.where(position < end, position, start + (position - start) % (end - start))
    late = slice(quantum(0.7) + FADE, None)
    wanted = gain * sounds["evidence"][position]
    np.testing.assert_allclose(heard[late], wanted[late], rtol=0, atol=1e-6)


def test_seeking_goes_on_from_there(engine: Any) -> None:
    sounds = {"input": noise(11)}
    gain = gains_of(engine, sounds)["input"]
    heard = rendered(engine, sounds, source="input", seconds=0.6, steps=[[0.2, "seek", 0.65]])
    at = quantum(0.2)
    late = gain * sounds["input"][round(0.65 * OUT) :]
    found = heard[at : at + len(late)]
    np.testing.assert_allclose(found[FADE:], late[FADE : len(found)], rtol=0, atol=1e-6)
    assert np.abs(heard[at + len(late) + FADE :]).max() == 0  # it ends


def loudest(heard: NDArray[np.float32]) -> float:
    power = np.abs(np.fft.rfft(heard * np.hanning(len(heard)), 4 * len(heard)))
    return float(power.argmax() * OUT / 4 / len(heard))


@pytest.mark.parametrize(
    ("rate", "hertz", "expansion", "before", "wanted"),
    [
        (2000, 440, 1, "", 440),  # below what browsers play
        (1000000, 12000, 1, "", 12000),  # above it
        (16000, 1000, 1, "transport.speed(0.5);", 500),
        (250000, 45000, 10, "", 4500),
        (250000, 45000, 10, "transport.heterodyne(40000);", 5000),
        (250000, 45000, 10, "transport.heterodyne(40000); transport.heterodyne(null);", 4500),
    ],
)
def test_every_rate_is_played_at_its_pitch(
    engine: Any, rate: int, hertz: float, expansion: int, before: str, wanted: float
) -> None:
    tone = 0.1 * np.sin(2 * np.pi * hertz * np.arange(rate // 2) / rate).astype(np.float32)
    heard = rendered(
        engine, {"input": tone}, rate=rate, expansion=expansion, before=before, source="input",
        seconds=0.4,
    )  # fmt: skip
    np.testing.assert_allclose(loudest(heard), wanted, rtol=0, atol=3)
    np.testing.assert_allclose(  # all are equally loud: -23 dB
        20 * np.log10(np.sqrt((heard[2400:-2400] ** 2).mean())), -23, rtol=0, atol=0.2
    )


def test_the_length_follows_the_speed(engine: Any) -> None:
    sounds = {"input": noise(12, rate=16000, seconds=0.2)}
    for before, seconds in (("", 0.2), ("transport.speed(0.5);", 0.4)):
        heard = rendered(engine, sounds, rate=16000, before=before, source="input", seconds=0.5)
        last = np.flatnonzero(np.abs(heard) > 1e-4)[-1] / OUT
        np.testing.assert_allclose(last, seconds, rtol=0, atol=0.002)


def test_sounds_add_up_again_after_resampling(engine: Any) -> None:
    """Evidence and remainder are played by the same filter as the input."""
    parts = {"evidence": noise(13, rate=16000), "remainder": noise(14, rate=16000)}
    whole = parts["evidence"] + parts["remainder"]
    found = [
        array(engine, "resample(wave, 16000, 48000)", wave=wave)
        for wave in (whole, *parts.values())
    ]
    assert decibels(found[1] + found[2] - found[0], found[0]) < -120


def test_live_it_plays_switches_seeks_pauses_and_ends(engine: Any) -> None:
    engine.mouse.click(5, 5)  # browsers play after a gesture
    sounds = {"input": noise(15, seconds=2.0), "evidence": noise(16, seconds=2.0)}
    code = """(async () => {
        const wait = ms => new Promise(done => setTimeout(done, ms));
        const transport = makeTransport(), seen = [];
        let calls = 0;
        transport.onchange = () => { calls++; };
        transport.load({ input, evidence }, 48000);
        const look = () => seen.push([transport.playing, transport.source, transport.position()]);
        look();
        transport.seek(0.5); look();
        transport.toggle(); await wait(400); look();
        transport.choose("evidence"); look();
        await wait(200); look();
        transport.pause(); look();
        await wait(100); look();
        transport.seek(1.9); transport.play(); await wait(600); look();
        transport.play(); await wait(300); look(); transport.pause();
        let error = "";
        try { transport.choose("truth"); } catch (problem) { error = problem.message; }
        return [seen, calls, error, transport.offers("evidence"), transport.offers("original")];
    })()"""
    seen, calls, error, evidence, original = call(engine, code, **sounds)
    states = [(playing, source) for playing, source, _ in seen]
    positions = [position for _, _, position in seen]
    assert states == [
        (False, "input"), (False, "input"), (True, "input"), (True, "evidence"),
        (True, "evidence"), (False, "evidence"), (False, "evidence"), (False, "evidence"),
        (True, "evidence"),
    ]  # fmt: skip
    np.testing.assert_allclose(positions[:2], [0, 0.5], rtol=0, atol=1e-9)
    assert 0.55 < positions[2] < 1.2  # 0.9 on an idle machine
    assert positions[2] <= positions[3] < positions[2] + 0.5  # the first switch resamples
    assert positions[4] > positions[3] + 0.1
    np.testing.assert_allclose(positions[6], positions[5], rtol=0, atol=1e-9)
    np.testing.assert_allclose(positions[7], 2.0, rtol=0, atol=1e-9)  # the end
    assert 0.05 < positions[8] < 0.6  # from the beginning again
    assert calls >= 8
    assert error == "there is no truth of this sound"
    assert (evidence, original) == (True, False)


def test_the_original_file_is_followed_where_it_is(engine: Any, tmp_path: Path) -> None:
    write_audio(tmp_path / "whole.wav", Audio(noise(17, rate=16000, seconds=4.0), 16000))
    engine.mouse.click(5, 5)
    code = """(async () => {
        const wait = ms => new Promise(done => setTimeout(done, ms));
        const transport = makeTransport(), seen = [];
        transport.load({ input }, 48000, { original, start: 1.5 });
        const look = () => seen.push([transport.playing, transport.source, transport.position()]);
        transport.seek(0.4); transport.choose("original"); transport.play();
        await wait(700); look();
        transport.choose("input"); look();
        await wait(200); look();
        transport.choose("original"); await wait(100);
        transport.loop(0.1, 0.3); transport.seek(0.1); await wait(900); look();
        transport.loop(null); transport.seek(1.8); await wait(900); look();
        return seen;
    })()"""
    sounds = {"input": noise(18, seconds=2.0), "original": (tmp_path / "whole.wav").as_uri()}
    seen = call(engine, code, **sounds)
    assert [(playing, source) for playing, source, _ in seen] == [
        (True, "original"), (True, "input"), (True, "input"), (True, "original"),
        (False, "original"),
    ]  # fmt: skip
    positions = [position for _, _, position in seen]
    assert 0.45 < positions[0] < 1.3
    assert positions[0] - 0.05 <= positions[1] < positions[0] + 0.5
    assert positions[2] > positions[1]
    assert 0.05 < positions[3] < 0.5
    np.testing.assert_allclose(positions[4], 2.0, rtol=0, atol=1e-6)  # the end of the part


def test_an_original_that_is_missing_is_not_offered(engine: Any, tmp_path: Path) -> None:
    code = """(async () => {
        const transport = makeTransport();
        const changed = new Promise(done => { transport.onchange = done; });
        transport.load({ input }, 48000, { original });
        transport.seek(0.4); transport.choose("original");
        while (transport.offers("original")) await new Promise(done => setTimeout(done, 10));
        await changed;
        return [transport.source, transport.playing];
    })()"""
    gone = (tmp_path / "gone.wav").as_uri()
    assert call(engine, code, input=noise(19), original=gone) == ["input", False]
