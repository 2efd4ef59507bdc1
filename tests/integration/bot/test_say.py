"""`orbitbot say`: speak to a bot and see its answer."""

import subprocess
from pathlib import Path

from tests.integration.bot.bot_process import ORBITBOT, BotProcess
from tests.support.gateway_double import GatewayDouble, Later


def say(bot: BotProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [ORBITBOT, "say", "padaria", *arguments, "--settings", str(bot.settings_file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_the_answer_is_printed_whole(bot: BotProcess, gateway: GatewayDouble) -> None:
    gateway.answer = lambda post: f"{post.from_} perguntou: {post.message} " + "Temos pão. " * 90
    bot.start()
    done = say(bot, "tem pão?", "--from", "5511912345678")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert done.stdout.split() == ["5511912345678", "perguntou:", "tem", "pão?", *["Temos", "pão."] * 90]


def test_an_earlier_answer_is_not_taken_for_this_one(bot: BotProcess, gateway: GatewayDouble) -> None:
    bot.start()
    assert say(bot, "um").stdout == "Resposta a: um\n"
    gateway.script("messages", Later(1.0))
    assert say(bot, "dois").stdout == "Resposta a: dois\n"


def test_a_voice_note_goes_as_it_is(bot: BotProcess, gateway: GatewayDouble, tmp_path: Path) -> None:
    note = tmp_path / "note.ogg"
    note.write_bytes(b"OggS not really")
    bot.start()
    done = say(bot, "--voice", str(note))
    assert done.returncode == 0, done.stderr
    (turn,) = gateway.turns.values()
    assert [each.type for each in turn.post.members] == ["voice"]
    assert len(turn.notes) == 1


def test_silence_is_an_error_that_says_where_to_look(bot: BotProcess) -> None:
    done = say(bot, "alguém aí?", "--timeout", "0.5")  # the bot does not run
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no answer within 0.5 s" in done.stderr


def test_wrong_use_is_explained(bot: BotProcess) -> None:
    for arguments, expected in (
        (["oi", "--voice", "/nowhere.ogg"], "/nowhere.ogg: No such file"),
        ([], "TEXT or --voice"),
    ):
        done = say(bot, *arguments)
        assert done.returncode in {1, 2}
        assert expected in done.stderr
        assert "Traceback" not in done.stderr
    unknown = subprocess.run(
        [ORBITBOT, "say", "nobody", "oi"], capture_output=True, text=True, timeout=30, check=False
    )
    assert unknown.returncode == 2
    assert "nobody.toml" in unknown.stderr
