"""When an improved transcription still is the same text."""

import pytest

from orbitbot.ai.transcription import is_same_text

RAW = "quero tres pacote de arros pra amanha"


@pytest.mark.parametrize(
    ("improved", "same"),
    [
        (RAW, True),
        ("Quero três pacotes de arroz para amanhã.", True),
        ("Quero três pacotes de arroz, pra amanhã!", True),
        ("quero tres pacote de arros pra amanha " * 2, False),
        ("Quero arroz.", False),
        ("Quero duas garrafas de azeite e um bolo", False),
        ("Aqui está o texto corrigido: quero três pacotes de arroz para amanhã", False),
        ("Quero três pacotes de arroz para amanhã." + "!" * 100, False),
        ("", False),
    ],
)
def test_is_same_text(improved: str, *, same: bool) -> None:
    assert is_same_text(RAW, improved) is same
