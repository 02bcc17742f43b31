import json
import platform
from importlib import metadata

import pytest

from latpred.profiling.environment import cgroup_cpus, cpu_model, describe_environment, hardware_kind


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
    told = ("affinity", "cores", "cpu_model", "load_average", "system", "kernel", "machine", "versions")
    for key in sorted(record.keys() - set(told) - {"pressure_percent"}):
        assert record[key] == "unknown", key
    assert record["pressure_percent"] == {"cpu": "unknown", "memory": "unknown", "io": "unknown"}


def test_the_keys_of_shipped_datasets_are_still_there():
    keys = {"cpu_model", "cpu_flags", "cores", "affinity", "governor", "frequency_khz", "pressure_cpu", "cgroup_cpu"}
    assert keys | {"load_average", "system", "kernel", "machine", "versions"} <= set(describe_environment())


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
        ({"sys/fs/cgroup/cpu.max": "1 0\n"}, "unknown"),
        (  # the tightest of the group's and those above it
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "max 9\n",
                "sys/fs/cgroup/a/cpu.max": "7 9\n",
            },
            "7 9",
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/c\n3:cpu,cpuacct:/a\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "70\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100\n",
                "sys/fs/cgroup/cpu/c/cpu.cfs_quota_us": "10\n",
                "sys/fs/cgroup/cpu/c/cpu.cfs_period_us": "100\n",
            },
            "70 100",
        ),
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


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("150000 100000", 1.5), ("max 100000", float("inf")), ("unknown", None), ("1 0", None), ("1", None)],
)
def test_cpus_that_a_limit_is_worth(text, cpus):
    assert cgroup_cpus({"cgroup_cpu": text}) == cpus
    assert cgroup_cpus({}) is None


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "max\n"}, "max"),
        ({"a/b/memory.max": "max\n", "a/memory.max": "900\n", "memory.max": "1000\n"}, 900),
        ({"memory/m/memory.limit_in_bytes": "9223372036854771712\n"}, "max"),
        ({"memory/m/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.limit_in_bytes": "77\n"}, 77),
        ({"memory/other/memory.limit_in_bytes": "5\n", "other/memory.max": "5\n"}, "unknown"),
        ({"memory.max": "much\n"}, "unknown"),
    ],
)
def test_memory_limit_of_either_version(tmp_path, files, limit):
    write(tmp_path, "proc/self/cgroup", "5:memory:/m\n0::/a/b\n")
    for path, text in files.items():
        write(tmp_path, f"sys/fs/cgroup/{path}", text)
    assert describe_environment(tmp_path)["cgroup_memory_bytes"] == limit


def test_pressure_is_numbers_beside_the_text(tmp_path):
    text = "some avg10=1.50 avg60=22.05 avg300=3.00 total=9\nfull avg10=0.00 avg60=0.25 avg300=0.00 total=0\n"
    write(tmp_path, "proc/pressure/cpu", text)
    write(tmp_path, "proc/pressure/io", "some avg10=100.00 avg60=3 avg300=0 total=1\n")
    write(tmp_path, "proc/pressure/memory", "something new\n")
    record = describe_environment(tmp_path)
    assert record["pressure_cpu"] == text.strip()
    assert record["pressure_percent"] == {
        "cpu": {"some_avg10": 1.5, "some_avg60": 22.05, "full_avg10": 0.0, "full_avg60": 0.25},
        "memory": "unknown",
        "io": {"some_avg10": 100.0, "some_avg60": 3.0},
    }


def test_facts_of_the_processor(tmp_path, monkeypatch):
    monkeypatch.setattr("latpred.profiling.environment.usable_cpus", lambda: frozenset([1]))
    write(tmp_path, "sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1,5\n")
    write(tmp_path, "sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq", "3400000\n")
    write(tmp_path, "sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n")
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "45500\n")
    write(tmp_path, "sys/class/thermal/thermal_zone1/temp", "no\n")
    for number, name in enumerate(("k10temp", "nvme")):
        write(tmp_path, f"sys/class/hwmon/hwmon{number}/name", f"{name}\n")
        write(tmp_path, f"sys/class/hwmon/hwmon{number}/temp1_input", "-2000\n")
    record = describe_environment(tmp_path)
    assert record["smt_siblings"] == {"1": "1,5"}
    assert record["max_frequency_khz"] == {"1": "3400000"}
    assert record["temperature_c"] == {"x86_pkg_temp thermal_zone0": 45.5, "k10temp hwmon0": -2.0}


@pytest.mark.parametrize(
    ("path", "text", "turbo"),
    [
        ("intel_pstate/no_turbo", "0", "on"),
        ("intel_pstate/no_turbo", "1", "off"),
        ("cpufreq/boost", "1", "on"),
        ("cpufreq/boost", "0", "off"),
        ("cpufreq/boost", "?", "unknown"),
    ],
)
def test_turbo_of_either_driver(tmp_path, path, text, turbo):
    write(tmp_path, f"sys/devices/system/cpu/{path}", text + "\n")
    assert describe_environment(tmp_path)["turbo"] == turbo


def test_memory_and_swap_in_use(tmp_path):
    lines = "MemTotal:  2000 kB\nMemFree: 1 kB\nMemAvailable: 900 kB\nSwapTotal: 500 kB\nSwapFree: 380 kB\nHuge: 0\n"
    write(tmp_path, "proc/meminfo", lines)
    assert describe_environment(tmp_path)["memory_kb"] == {"total": 2000, "available": 900, "swap_used": 120}
    write(tmp_path, "proc/meminfo", lines.replace("SwapFree", "Swapped"))
    assert describe_environment(tmp_path)["memory_kb"] == "unknown"


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        ({"proc/cpuinfo": "flags : fpu hypervisor sse\n"}, "virtual machine"),
        ({"proc/cpuinfo": "flags : fpu sse\n"}, "none seen"),
        ({"proc/cpuinfo": "flags : fpu sse\n", "sys/hypervisor/type": "xen\n"}, "xen"),
        ({"proc/cpuinfo": "Features : asimd\n"}, "unknown"),
    ],
)
def test_hint_of_a_virtual_machine(tmp_path, files, hint):
    for path, text in files.items():
        write(tmp_path, path, text)
    assert describe_environment(tmp_path)["virtualisation"] == hint


def test_versions_of_runtimes_without_importing_them(monkeypatch):
    def version(name):
        if name == "openvino":
            raise metadata.PackageNotFoundError(name)
        return "1.2.3"

    monkeypatch.setattr(metadata, "version", version)
    versions = describe_environment()["versions"]
    assert (versions["onnxruntime"], versions["openvino"]) == ("1.2.3", "not installed")


@pytest.mark.parametrize(
    ("asked", "kind"),
    [("auto", "cpu"), ("My board", "cpu"), ("cuda", "cuda:0"), (" CUDA:01", "cuda:1"), ("cuda:x", "cpu")],
)
def test_kind_of_hardware(asked, kind):
    assert hardware_kind(asked) == kind
