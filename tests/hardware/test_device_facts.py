"""What is known of a device, and that it is of one device."""

import pytest

from latpred.device import Device
from latpred.errors import ConfigError, UsageError
from latpred.hardware.facts import Facts, facts_of, read_facts, read_facts_file

REST = {"runtime_version": "8.6.1", "precision": "float32", "threads": 1, "batch": 1, "layout": "nchw"}


def test_facts_of_several_sources_make_a_device():
    facts = facts_of({"hardware": "Orin", "runtime": None}, "a.log").with_all(facts_of(REST, "class").known)
    assert facts.missing() == ["runtime"]
    whole = facts.with_all(facts_of({"runtime": "tensorrt"}, "class").known)
    assert whole.device("results") == Device("Orin", "tensorrt", "8.6.1", "float32", 1, 1, "nchw")
    assert facts.missing() == ["runtime"]  # as it was


def test_two_devices_are_refused_with_both_files():
    facts = facts_of({"hardware": "Orin"}, "a.log")
    assert facts.with_all(facts_of({"hardware": "Orin"}, "b.log").known) is facts
    message = r"c\.log: expected the hardware 'Orin' as in a\.log, found 'Xavier'\. Keep the results of each device"
    with pytest.raises(UsageError, match=message):
        facts.with_all(facts_of({"hardware": "Xavier"}, "c.log").known)


def test_what_is_missing_is_named_with_the_file_to_write():
    message = (
        r"tells its hardware, runtime_version\. Write 'device: {hardware: \.\.\., runtime_version: \.\.\.}' into r/d"
    )
    with pytest.raises(ConfigError, match=message):
        facts_of({**REST, "runtime_version": None, "runtime": "x"}, "class").device("r")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hardwar": "x"}, "unknown key 'hardwar', .* Perhaps 'hardware' was meant"),
        ({"threads": "1"}, "expected threads to be an integer >= 1, found '1'"),
        ({"batch": 0}, "expected batch to be an integer >= 1, found 0"),
        ({"threads": True}, "expected threads to be an integer >= 1, found True"),
        ({"runtime_version": 2.1}, r"expected runtime_version to be a name, found 2\.1\. Put it in quotes"),
        ({"hardware": " "}, "expected hardware to be a name"),
        (["hardware"], "expected a mapping, found list"),
    ],
)
def test_malformed_facts_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        read_facts(values, "device.yaml: device")


def test_a_yaml_that_would_execute_something_is_data(tmp_path):
    made = tmp_path / "made"
    file = tmp_path / "device.yaml"
    file.write_text(f"device: !!python/object/apply:os.system ['touch {made}']\n")
    with pytest.raises(ConfigError, match=r"device\.yaml: expected YAML, got: could not determine a constructor"):
        read_facts_file(file)
    assert not made.exists()


def test_a_file_of_a_hardware_has_the_section_too(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("hardware: tensorrt\nparameters: {}\ndevice: {hardware: Orin}\n")
    assert read_facts_file(file).to_dict() == {"hardware": "Orin"}
    assert Facts().to_dict() == {}
