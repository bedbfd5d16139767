"""The command line: batch forms, exit codes, clear errors, and one owner of a data directory."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.__main__ import main

ROOT = Path(__file__).parents[1]


def batch(tmp_path: Path, data: Path, command: str, rows: list[object], *more: str) -> tuple[int, list[dict[str, object]]]:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    code = main([command, "--batch", str(source), "--out", str(target), "--data", str(data), "--model", "none", *more])
    return code, [json.loads(line) for line in target.read_text("utf-8").splitlines()]


def test_ask_answers_in_order_and_a_bad_row_does_not_stop_the_rest(data: Path, tmp_path: Path) -> None:
    rows = [
        {"id": "a", "text": "设备部让我找采购，采购又让我找设备部", "unknown": 1},
        "this is not json",
        {"id": "b"},
        {"id": "c", "text": "   "},
        {"id": "d", "text": "Nobody takes the lead, everybody points at somebody else", "lang": "fr"},
        {"id": "e", "text": "Two departments keep sending me back and forth", "context": [{"role": "rep", "text": "hello"}]},
        {"id": "f", "text": "x", "context": "not a list of turns"},
        [1, 2],
    ]
    code, out = batch(tmp_path, data, "ask", rows)
    assert code == 1
    assert [row.get("id") for row in out] == ["a", None, "b", "c", "d", "e", "f", None]
    assert [("error" in row) for row in out] == [False, True, True, True, True, False, True, True]
    first = out[0]
    assert {"reply", "lang", "action", "topics", "citations", "blocks", "model", "ms"} <= first.keys()
    assert first["topics"][0]["id"] == "buck-passing" and first["model"] is None  # type: ignore[index]
    assert all(item["quote"] and item["place"] and item["passage_id"] for item in first["citations"])  # type: ignore[attr-defined]
    assert out[5]["lang"] == "en"


def test_ask_and_search_exit_0_when_all_rows_are_answered(data: Path, tmp_path: Path) -> None:
    assert batch(tmp_path, data, "ask", [{"id": 1, "text": "客户一直说再看看"}])[0] == 0
    code, out = batch(tmp_path, data, "search", [{"id": 1, "text": "who signs off", "limit": 3}, {"id": 2, "text": "谁拍板"}])
    assert code == 0 and len(out[0]["ranked"]) == len(out[0]["score"]) == 3 and len(out[1]["ranked"]) == 10  # type: ignore[arg-type]
    assert all(0 <= score <= 1 for row in out for score in row["score"])  # type: ignore[attr-defined]


def test_one_question_shows_long_lines_beside_their_bullet_and_no_hint_to_type(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "客户说太贵怎么办", "--data", str(data), "--model", "none"]) == 0
    shown = capsys.readouterr().out
    assert "/more" not in shown
    assert not [line for line in shown.splitlines() if line.strip() == "•"]


def test_a_command_of_the_chat_is_named_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quiz"]) == 2
    assert "coach chat" in capsys.readouterr().err


@pytest.mark.parametrize("limit", [0, -1, "ten", 1.5, True])
def test_a_wrong_limit_is_named(data: Path, tmp_path: Path, limit: object) -> None:
    code, out = batch(tmp_path, data, "search", [{"id": 1, "text": "x", "limit": limit}])
    assert code == 1 and "'limit'" in str(out[0]["error"])


def test_a_missing_batch_file_or_folder_is_named_with_the_cure(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "--batch", str(tmp_path / "none.jsonl"), "--data", str(data)]) == 2
    assert "none.jsonl" in capsys.readouterr().err
    (tmp_path / "in.jsonl").write_text('{"id":1,"text":"x"}')
    assert main(["ask", "--batch", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "no" / "out"), "--data", str(data)]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_topics_and_card_print_every_published_card(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topics", "--json", "--data", str(data)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) >= 52 and all(row["title"]["zh"] and row["title"]["en"] and row["languages"] == ["zh", "en"] for row in rows)
    assert main(["card", "sign-off", "--lang", "en", "--data", str(data)]) == 0
    assert "Next steps" in capsys.readouterr().out
    assert main(["card", "sign-of", "--data", str(data)]) == 2
    assert "Did you mean sign-off" in capsys.readouterr().err


def test_doctor_finds_everything_in_order_and_says_what_is_not(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["doctor", "--data", str(data)]) == 0
    assert "✗" not in capsys.readouterr().out
    monkeypatch.setenv("COACH_LISTEN", "nonsense")
    assert main(["doctor", "--data", str(data)]) == 1
    assert "COACH_LISTEN" in capsys.readouterr().out


def test_a_wrong_setting_is_told_with_key_value_and_cure(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COACH_DATABASE_URL", "postgres-typo://user:secret@host/x")
    assert main(["topics"]) == 2
    told = capsys.readouterr().err
    assert "COACH_DATABASE_URL" in told and "try sqlite" in told and "secret" not in told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o500)
    assert main(["topics", "--data", str(tmp_path / "x")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_text("")
    assert main(["topics", "--data", str(tmp_path / "x")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_second_process_on_the_same_directory_is_told_what_to_do(data: Path) -> None:
    command = [sys.executable, "-m", "bot", "chat", "--data", str(data)]
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        deadline = time.monotonic() + 30
        while "coach chat" not in (data / "lock").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        second = subprocess.run([*command[:3], "search", "x", "--data", str(data)], capture_output=True, text=True, cwd=ROOT)
        assert second.returncode == 2 and "in use by coach chat" in second.stderr and "--data" in second.stderr
    finally:
        first.communicate(timeout=60)


def test_chat_answers_what_is_piped_in_and_exits_0(data: Path) -> None:
    lines = "设备部让我找采购，采购又让我找设备部\n/help\n/card buck-passing\n/more\n1\n/nonsense\n/quit\n"
    done = subprocess.run(
        [sys.executable, "-m", "bot", "chat", "--data", str(data)], input=lines, capture_output=True, text=True, cwd=ROOT, check=True,
        env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    assert "互相踢皮球" in done.stdout and "依据" in done.stdout and "/topics" in done.stdout and "没有 /nonsense" in done.stdout


def test_chat_with_nothing_to_read_exits_0(data: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "bot", "chat", "--data", str(data)], input=b"", capture_output=True, cwd=ROOT)
    assert done.returncode == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "ingest" in capsys.readouterr().out


def test_an_unknown_command_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["frobnicate"])
    assert left.value.code == 2
