import json
import platform

import pytest

from latpred.profiling.environment import cpu_model, describe_environment


def write(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_this_machine_gives_plain_json_without_names():
    record = describe_environment()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["cores"] >= len(record["affinity"]) >= 1
    assert record["versions"]["python"] == platform.python_version()
    if len(platform.node()) > 3:
        assert platform.node() not in json.dumps(record)


def test_nothing_readable_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    record = describe_environment(tmp_path)
    assert record["cpu_model"] == "riscv64"
    for key in ("cpu_flags", "governor", "frequency_khz", "pressure_cpu", "cgroup_cpu"):
        assert record[key] == "unknown", key


def test_linux_files_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("latpred.profiling.environment.usable_cpus", lambda: frozenset([4, 2]))
    write(
        tmp_path,
        "proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Example 9000: X\nflags\t\t: sse avx\n\nprocessor\t: 1\n",
    )
    write(tmp_path, "proc/pressure/cpu", "some avg10=1.50\n")
    write(tmp_path, "sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "performance\n")
    write(tmp_path, "sys/devices/system/cpu/cpu4/cpufreq/scaling_governor", "powersave\n")
    write(tmp_path, "sys/devices/system/cpu/cpu2/cpufreq/scaling_cur_freq", "2400000\n")
    record = describe_environment(tmp_path)
    assert record["cpu_model"] == cpu_model(tmp_path) == "Example 9000: X"
    assert record["cpu_flags"] == "sse avx"
    assert record["affinity"] == [2, 4]
    assert record["governor"] == {"2": "performance", "4": "powersave"}
    assert record["frequency_khz"] == {"2": "2400000", "4": "unknown"}
    assert record["pressure_cpu"] == "some avg10=1.50"


def test_arm_boards_name_themselves_and_their_features(tmp_path):
    write(tmp_path, "proc/cpuinfo", "processor : 0\nFeatures : asimd\n\nModel : Example Board 5\n")
    record = describe_environment(tmp_path)
    assert (record["cpu_model"], record["cpu_flags"]) == ("Example Board 5", "asimd")


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, "150000 100000"),
        (
            {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "7 9\n", "sys/fs/cgroup/cpu.max": "max 9\n"},
            "7 9",
        ),
        (
            {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "5 9\n", "sys/fs/cgroup/a/cpu.max": "7 9\n"},
            "5 9",
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            "max 100000",
        ),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100\n"}, "50 100"),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50\n"}, "unknown"),
        ({"cpu.max": "1 2\n", "sys/cpu.max": "1 2\n"}, "unknown"),
    ],
)
def test_cgroup_limit_of_either_version(tmp_path, files, limit):
    for path, text in files.items():
        write(tmp_path, path, text)
    assert describe_environment(tmp_path)["cgroup_cpu"] == limit


def test_a_file_that_is_a_folder_is_unknown(tmp_path):
    (tmp_path / "proc/pressure/cpu").mkdir(parents=True)
    assert describe_environment(tmp_path)["pressure_cpu"] == "unknown"


def test_the_kernel_is_its_number_alone(monkeypatch, tmp_path):
    monkeypatch.setattr("platform.release", lambda: "6.1.0-27-somebody-build7")
    assert describe_environment(tmp_path)["kernel"] == "6.1.0"
    monkeypatch.setattr("platform.release", lambda: "")
    assert describe_environment(tmp_path)["kernel"] == "unknown"
