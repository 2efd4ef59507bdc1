"""Texts as comparable words: what contacts type on a telephone, made alike.

The lists are of Brazilian Portuguese first, with a little English and Spanish.
"""

import re
import unicodedata
from typing import Final

NUMBER: Final = "#"  # stands for one or several numbers, in digits or words

_LIGHT = """
a o as os um uma uns umas de do da dos das em no na nos nas ao aos e ou que se com por pra para pro
pelo pela eu tu ele ela voce voces eles elas me te lhe meu minha meus minhas seu sua seus suas isso
isto esse essa este esta aquele aquela ai aqui la ja so mais muito muita bem tambem entao agora hoje
ontem amanha manha tarde noite hora horas dia boa bom oi ola alo opa ei eai tudo favor gentileza
obrigado obrigada valeu ate logo ser sao era foi fica ficou ta to estou estao tem tenho temos ter ha
gostaria queria saber sabe ver dizer diga fala falar passa passar mim pode poderia posso qual quais
quanto quanta quantos como onde quando ne faz fazem fazer sai segunda terca quarta quinta sexta sabado
domingo feira
the an is are was does did you your i we my it this that of for in on at and or please thanks thank
hello hi hey good morning afternoon evening night what how much can could would like know tell
el los las un una es son hay usted ustedes gracias hola buenos buenas dias tardes noches
"""
_NUMBERS = """
zero dois duas tres quatro cinco seis sete oito nove dez onze doze treze quatorze quinze dezesseis
dezessete dezoito dezenove vinte trinta quarenta cinquenta cem
"""

# Words that carry no topic: function words, courtesy, time of day.
LIGHT_WORDS: Final = frozenset(_LIGHT.split())
NEGATIONS: Final = frozenset({"nao", "nem", "nunca", "no", "not", "never"})
NUMBER_WORDS: Final = frozenset(_NUMBERS.split())
ABBREVIATIONS: Final = {
    "vc": "voce", "vcs": "voces", "cs": "voces", "q": "que", "qto": "quanto", "qnto": "quanto",
    "qt": "quanto", "qtos": "quantos", "qdo": "quando", "qnd": "quando", "tb": "tambem", "tbm": "tambem",
    "pq": "porque", "hj": "hoje", "amnh": "amanha", "obg": "obrigado", "obgd": "obrigado",
    "brigado": "obrigado", "brigada": "obrigada", "vlw": "valeu", "pf": "por favor", "pfv": "por favor",
    "pfvr": "por favor", "blz": "beleza", "msg": "mensagem", "end": "endereco", "tel": "telefone",
    "num": "numero", "n": "numero", "kg": "quilo", "kgs": "quilos", "lt": "litro", "pct": "pacote",
    "cx": "caixa", "hrs": "horas", "kilo": "quilo", "cade": "onde", "eh": "e", "naum": "nao", "nn": "nao",
    "td": "tudo", "bdia": "bom dia",
}  # fmt: skip

_REPEATED = re.compile(r"([^\W\d_])\1{2,}")  # "oiiii", "obrigadaaa"
_WORD = re.compile(r"[^\W_]+")
_SENTENCE_END = re.compile(r"[.!?…;]+\s+|[.!?…;]+$")


def statements(line: str) -> list[str]:
    """A line's sentences, without the punctuation between them."""
    return [part for part in _SENTENCE_END.split(line) if part.strip()]


def words(text: str) -> list[str]:
    """Comparable words: lower case, no accents, no punctuation, abbreviations written out, numbers alike."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    found: list[str] = []
    for word in _WORD.findall(_REPEATED.sub(r"\1", plain)):
        if word.isdigit() or word in NUMBER_WORDS:
            if found[-1:] != [NUMBER]:
                found.append(NUMBER)
        else:
            found += ABBREVIATIONS.get(word, word).split()
    return found
