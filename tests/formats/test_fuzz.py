"""What parsers must do with text that no tool wrote: give a profile or a ParseError, and come to an end."""

import math
from pathlib import Path
from random import Random

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS, Format, Profile
from latpred.formats.detect import decoded, detect_among

SAMPLES = Path(__file__).parents[1] / "samples"
BYTES = "0123456789.,;:-+eE%()[]{}\"'\\/ \t\n\r\x00\x1e\x1fabcmsuµ∞"
WORDS = ("nan", "inf", "-1", "1e999", "1,5", "0", "ms", "us", "Total", "All", "[", "]", "{", "}", "null", "\n", '"', "")


@pytest.fixture(scope="module")
def samples() -> dict[str, list[str]]:
    """Return the samples of each format."""
    found: dict[str, list[str]] = {name: [] for name in FORMATS}
    for path in sorted(SAMPLES.iterdir()):
        text = path.read_bytes().decode("utf-8", "replace")
        try:
            found[detect_among(FORMATS, text[:65536], path.name).name].append(text)
        except ParseError:
            continue  # another test's sample
    return found


def garbage(random: Random) -> str:
    return "".join(random.choices(BYTES, k=random.randrange(400)))


def mutated(text: str, others: list[str], random: Random) -> str:
    """Return `text` with one to four random changes."""
    for _ in range(random.randint(1, 4)):
        a, b = sorted(random.randrange(len(text) + 1) for _ in range(2))
        b = min(b, a + 60)
        lines = text.split("\n")
        i, j = random.randrange(len(lines)), random.randrange(len(lines))
        match random.randrange(8):
            case 0:
                text = text[:a]
            case 1:
                text = text[:a] + text[b:]
            case 2:
                text = text[:b] + text[a:]
            case 3:
                text = text[:a] + garbage(random)[:20] + text[b:]
            case 4:
                text = text[:a] + random.choice(WORDS) + text[b if random.random() < 0.5 else a :]
            case 5:
                lines[i], lines[j] = lines[j], lines[i]
                text = "\n".join(lines)
            case 6:
                text = "\n".join([*lines[:i], *random.choice(others).split("\n")[j : j + 5], *lines[i:]])
            case _:
                text = "\n".join(lines[:i] + lines[i + 1 :])
    return text


def noise(random: Random) -> str:
    """Return random bytes, as a file of them is read."""
    content = random.choice((b"", b"\xff\xfe", b"\xef\xbb\xbf")) + random.randbytes(random.randrange(1, 400))
    return decoded(content)


def check(format_: Format, text: str) -> bool:
    """Parse `text`, check what came of it, and return whether it was read."""
    score = format_.recognizes(text[:65536])
    assert 0 <= score <= 1
    try:
        profiles = format_.parse_networks(text, "fuzz")
        told = "fuzz"
    except ParseError as error:
        profiles, told = (), str(error)
    assert profiles or told != "fuzz"
    for profile in profiles:
        check_profile(profile)
    assert told.startswith("fuzz")
    assert "\n" not in told
    return bool(profiles)


def check_profile(profile: Profile) -> None:
    numbers = [profile.whole_ms, *profile.runs_ms, *(layer.latency_ms for layer in profile.layers)]
    assert all(number is None or (math.isfinite(number) and number >= 0) for number in numbers)
    assert profile.whole_ms is None or profile.whole_ms > 0
    assert profile.failed is None or (profile.failed and profile.whole_ms is None and not profile.layers)
    assert all(count is None or count >= 0 for count in (profile.runs, profile.warmup_runs, profile.batch))


def fuzz(name: str, samples: dict[str, list[str]], seeds: range) -> None:
    format_, own = FORMATS[name], samples[name]
    everything = [text for texts in samples.values() for text in texts]
    assert own
    for seed in seeds:
        random = Random(seed)
        kind = {0: noise, 10: garbage}.get(seed % 20)
        text = mutated(random.choice(own), everything, random) if kind is None else kind(random)
        try:
            read = check(format_, text)
            assert kind is None or not read
        except Exception as error:
            error.add_note(f"format {name}, seed {seed}, text {text!r}")
            raise


@pytest.mark.parametrize("name", FORMATS)
def test_whatever_is_read_gives_a_profile_or_a_parse_error(name, samples):
    fuzz(name, samples, range(400))


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_ten_thousand_times(name, samples):
    fuzz(name, samples, range(400, 10_400))


@pytest.mark.parametrize("name", FORMATS)
def test_samples_of_other_tools_are_refused_or_empty(name, samples):
    for other, texts in samples.items():
        for text in texts:
            if other != name:
                check(FORMATS[name], text)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("filling", [" ", "\t", "[", "{", "(", "9", '"', ";", ",", "\n", "a ", " + ", "= "])
def test_long_runs_of_one_character_take_no_time(name, filling, samples):
    # The time limit of pytest ends what takes quadratic time here.
    long = filling * (20_000 if filling == "\n" else 200_000 // len(filling))
    check(FORMATS[name], long)
    text = samples[name][0]
    for end in (len(text) // 2, len(text) - 1):
        check(FORMATS[name], text[:end] + long + text[end:])
