import codecs
from pathlib import Path

import pytest

from latpred.errors import ParseError
from latpred.formats import FORMATS, detect, parse_file

SAMPLES = Path(__file__).parents[1] / "samples"
OF = {"csv": "csv", "dpu": "dpu", "litert": "litert", "mlperf": "mlperf", "onnxruntime": "onnxruntime"}
OF |= {"openvino": "openvino", "qnn": "qnn", "snpe": "snpe", "tflite": "tflite", "trtexec": "trtexec"}
OF |= {"vaitrace": "vaitrace"}


def of_formats() -> list[Path]:
    return [path for path in sorted(SAMPLES.iterdir()) if path.stem.partition("_")[0] in OF]


@pytest.mark.parametrize("path", of_formats(), ids=lambda path: path.name)
def test_a_file_is_recognized_by_what_is_in_it(path, tmp_path):
    renamed = tmp_path / "result.txt"
    renamed.write_bytes(path.read_bytes())
    assert detect(renamed).name == OF[path.stem.partition("_")[0]]
    assert detect(path.read_text(encoding="utf-8")) is detect(path)


@pytest.mark.parametrize("path", of_formats(), ids=lambda path: path.name)
def test_only_one_format_is_sure(path):
    head = path.read_text(encoding="utf-8")[:65536]
    assert [name for name, format_ in FORMATS.items() if format_.recognizes(head) > 0] == [detect(path).name]


def test_formats_are_called_as_their_parsers_say():
    assert {name: format_.name for name, format_ in FORMATS.items()} == {name: name for name in FORMATS}
    assert list(FORMATS) == sorted(FORMATS)
    assert {parse_file(path).tool for path in of_formats() if path.name == "dpu_left.txt"} == {"dpu"}


def test_an_unknown_file_names_the_known_formats():
    with pytest.raises(ParseError) as caught:
        detect("hello\n")
    assert str(caught.value) == (
        f"the text: expected a file of {', '.join(FORMATS)}, found none of their signatures. "
        "Check that it is the tool's own output, or write latpred's CSV instead."
    )


def test_two_tools_in_a_file_are_named():
    joined = (SAMPLES / "trtexec_10.log").read_text() + (SAMPLES / "dpu_left.txt").read_text()
    with pytest.raises(ParseError, match=r"expected a file of one format, found signatures of dpu, trtexec. Name the"):
        detect(joined)


def test_the_wrong_format_is_refused_with_the_right_one(tmp_path):
    sample = SAMPLES / "dpu_left.txt"
    with pytest.raises(ParseError, match=r"dpu_left.txt: expected a file of trtexec, found the signature of dpu"):
        parse_file(sample, format="trtexec")
    with pytest.raises(ParseError, match=r"expected a format of auto, csv, dpu, .*, found 'dnndk'"):
        parse_file(sample, format="dnndk")
    other = tmp_path / "other.txt"
    other.write_text("hello")
    with pytest.raises(ParseError, match="expected a file of dpu, found the signature of no tool"):
        parse_file(other, format="dpu")
    assert parse_file(sample, format="dpu") == parse_file(str(sample))


@pytest.mark.parametrize("content", [b"", b" \r\n\t\n", codecs.BOM_UTF8])
def test_an_empty_file_is_told(tmp_path, content):
    path = tmp_path / "empty.log"
    path.write_bytes(content)
    with pytest.raises(ParseError, match=r"empty.log: expected a tool's file, found an empty one. Run the tool again"):
        parse_file(path)


def test_what_cannot_be_read_is_told(tmp_path):
    with pytest.raises(ParseError, match=r"none.log: expected a tool's file, found nothing there. Check the path"):
        parse_file(tmp_path / "none.log")
    with pytest.raises(ParseError, match="expected a file that can be read, got: Is a directory"):
        parse_file(tmp_path)


@pytest.mark.parametrize(
    "sample", ["trtexec_8_6.log", "csv_one.csv", "onnxruntime_profile.json", "openvino_sorted.csv"]
)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_what_windows_writes_is_read(tmp_path, sample, encoding):
    path = tmp_path / sample
    path.write_bytes((SAMPLES / sample).read_bytes().decode().encode(encoding))
    assert parse_file(path) == parse_file(SAMPLES / sample)


def test_a_log_with_dos_line_ends_is_read():
    text = (SAMPLES / "trtexec_7.log").read_text(encoding="utf-8")
    assert FORMATS["trtexec"].parse(text.replace("\n", "\r\n"), "net.log") == FORMATS["trtexec"].parse(text, "net.log")
