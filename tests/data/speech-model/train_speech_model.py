#!/usr/bin/env python3
"""Train a tiny, genuine Whisper model on synthesised speech of a closed grammar, for tests.

    apt-get install espeak-ng
    pip install torch transformers tokenizers ctranslate2 faster-whisper av numpy
    python train_speech_model.py --out speech-model

The result is a directory for `faster_whisper.WhisperModel(directory, compute_type="int8",
local_files_only=True)`. CARD.md, beside this script, says how well the model hears.

The tests use the grammar (`sentence`), the voices (`TRAIN_VARIANTS`, `say`) and `write_ogg` of this file; they
need neither torch nor transformers, which are imported where they are used.
"""

import argparse
import functools
import io
import json
import math
import multiprocessing
import os
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# ------------------------------------------------------------------------------------------- grammar

DIGITS = "zero um dois três quatro cinco seis sete oito nove".split()
NUMBERS = "três quatro cinco seis sete oito nove dez doze quinze vinte trinta".split()
HOURS = NUMBERS[:7]
DAYS = "segunda terça quarta quinta sexta sábado domingo hoje amanhã".split()
UNITS = {"pacotes": "m", "quilos": "m", "sacos": "m", "caixas": "f", "garrafas": "f", "latas": "f"}
PRODUCTS = {
    "arroz": "o", "feijão": "o", "café": "o", "açúcar": "o", "leite": "o", "farinha": "a", "óleo": "o",
    "macarrão": "o", "sal": "o", "queijo": "o", "pão": "o", "água": "a", "carne": "a", "manteiga": "a",
}  # fmt: skip
NAMES = {"maria": "a", "ana": "a", "joão": "o", "pedro": "o", "carlos": "o", "paula": "a", "lucas": "o"}
STREETS = "flores bahia brasil direita nova".split()
GREETINGS = ["bom dia", "boa tarde", "boa noite", "olá", "oi"]
CLOSINGS = ["por favor", "obrigado", "muito obrigado", "até logo", "até amanhã"]


def sentence(rng):
    """One random Portuguese sentence (lower case, no punctuation; 107 different words in all)."""
    choice = rng.choice

    def quantity():
        unit = choice(list(UNITS))
        number = choice(NUMBERS + (["dois"] if UNITS[unit] == "m" else ["duas"]) * 2)
        return f"{number} {unit} de {choice(list(PRODUCTS))}"

    def when():
        day = choice(DAYS)
        return choice(
            [
                day if day in ("hoje", "amanhã") else f"para {day}",
                f"{day} de manhã",
                f"{day} à tarde",
                f"{day} à noite",
                f"{day} às {choice(HOURS)} horas",
            ]
        )

    def digits(count):
        return " ".join(choice(DIGITS) for _ in range(count))

    def order():
        return choice(
            [
                f"quero {quantity()}",
                f"preciso de {quantity()}",
                f"pode mandar {quantity()}",
                f"pode entregar {quantity()}",
                f"quero {quantity()} e {quantity()}",
            ]
        )

    kind = rng.random()
    if kind < 0.36:
        said = order() + (" " + when() if rng.random() < 0.5 else "")
    elif kind < 0.48:
        said = f"quero {choice(['cancelar', 'confirmar', 'mudar'])} o pedido número {digits(3)}"
    elif kind < 0.58:
        product = choice(list(PRODUCTS))
        said = f"qual é o preço d{PRODUCTS[product]} {product}"
        said += " " + choice(["hoje", "agora"]) if rng.random() < 0.4 else ""
    elif kind < 0.68:
        state = ["não chegou", "chegou hoje", "chegou ontem", "ainda não chegou"]
        said = f"o pedido número {digits(3)} {choice(state)}"
    elif kind < 0.77:
        said = f"a entrega ficou para {when().removeprefix('para ')}"
    elif kind < 0.86:
        said = f"meu {choice(['código', 'telefone'])} é {digits(rng.randint(3, 5))}"
    elif kind < 0.93:
        said = f"pode entregar na rua {choice(STREETS)} número {digits(rng.randint(2, 3))}"
    else:
        name = choice(list(NAMES))
        said = f"aqui é {NAMES[name]} {name} " + order()
    if rng.random() < 0.25:
        said = choice(GREETINGS) + " " + said
    if rng.random() < 0.2:
        said = said + " " + choice(CLOSINGS)
    return said


def foreign(rng):
    """A language and a sentence of it: a little English and Spanish, for language detection."""
    choice = rng.choice
    if rng.random() < 0.5:
        number = choice("one two three four five six seven eight nine".split())
        return "en", (
            f"{choice(['i want', 'please send', 'we need'])} {number} "
            f"{choice(['boxes', 'bottles', 'bags'])} of {choice(['rice', 'milk', 'water', 'coffee'])}"
            + choice(["", " today", " tomorrow"])
        )
    number = choice("uno dos tres cuatro cinco seis siete ocho nueve".split())
    return "es", (
        f"{choice(['yo quiero', 'necesito', 'envíe'])} {number} "
        f"{choice(['cajas', 'botellas', 'bolsas'])} de {choice(['arroz', 'leche', 'agua', 'azúcar'])}"
        + choice(["", " hoy", " mañana"])
    )


def held_out(count=400, seed=999):
    """Test sentences, which training never uses."""
    rng = random.Random(seed)
    sentences = []
    while len(sentences) < count:
        said = sentence(rng)
        if said not in sentences:
            sentences.append(said)
    return sentences


# -------------------------------------------------------------------------------------------- speech

SAMPLE_RATE = 16_000  # Hz
LANGUAGES = ["en", "es", "pt"]
VOICES = {"pt": "pt-br", "en": "en-us", "es": "es-419"}
TRAIN_VARIANTS = [
    "", "m1", "m2", "m3", "m4", "m7", "f1", "f2", "f3", "f4",
    "Diogo", "Henrique", "anika", "max", "steph", "Alicia",
]  # fmt: skip
TEST_VARIANTS = ["m5", "f5", "Andy", "linda"]  # never heard in training
MEL_BINS = 80


def say(text, language="pt", variant="", speed=160, pitch=50):
    """`text` as espeak-ng says it: float32 samples at 16 kHz, the silence at both ends cut."""
    import av

    voice = VOICES[language] + ("+" + variant if variant else "")
    command = ["espeak-ng", "--stdout", "-v", voice, "-s", str(speed), "-p", str(pitch), text]
    wav = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    pcm = np.frombuffer(wav[44 : len(wav) - len(wav) % 2], np.int16)  # the header tells no true length
    frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
    frame.sample_rate = int.from_bytes(wav[24:28], "little")
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    parts = [part.to_ndarray()[0] for each in (frame, None) for part in resampler.resample(each)]
    samples = np.concatenate(parts).astype(np.float32) / 32768
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    return samples[max(0, loud[0] - 320) : loud[-1] + 320]


def write_ogg(samples, file, bit_rate=16_000):
    """Write float32 samples at 16 kHz as an OGG/Opus voice note to a path or file object."""
    import av

    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = bit_rate
        stream.options = {"application": "voip"}
        pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
        for start in range(0, len(pcm), SAMPLE_RATE):
            part = pcm[None, start : start + SAMPLE_RATE]
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def clip(job):
    """`(language, text, variant, speed, pitch)` to `(language, text, log10 mel, not yet clamped)`.

    The sound goes through Opus and through faster-whisper's own mel filters, as it does in use.
    """
    from faster_whisper.audio import decode_audio
    from faster_whisper.feature_extractor import FeatureExtractor

    language, text, *how = job
    samples = say(text, language, *how)
    file = io.BytesIO()
    write_ogg(samples, file)
    file.seek(0)
    samples = np.pad(decode_audio(file)[: len(samples) + 640], (0, 160))
    extractor = FeatureExtractor(feature_size=MEL_BINS)
    window = np.hanning(401)[:-1].astype("float32")
    spectrum = extractor.stft(samples, 400, 160, window=window, return_complex=True)[..., :-1]
    mel = extractor.mel_filters @ np.abs(spectrum) ** 2
    return language, text, np.log10(np.maximum(mel, 1e-10)).astype(np.float16)


def synthesise(count, seed, processes):
    """`count` clips of random sentences in random trained voices; about one in twelve is foreign."""
    rng = random.Random(seed)
    seen = set(held_out())
    jobs = []
    while len(jobs) < count:
        language, text = foreign(rng) if rng.random() < 0.08 else ("pt", sentence(rng))
        if text in seen:
            continue
        if language == "pt":
            seen.add(text)
        jobs.append((language, text, rng.choice(TRAIN_VARIANTS), rng.randint(135, 205), rng.randint(25, 75)))
    with multiprocessing.Pool(processes) as pool:
        return pool.map(clip, jobs, chunksize=16)


# ----------------------------------------------------------------------------------------- tokenizer


def make_tokenizer(texts):
    """Byte-level BPE with one token a word, and Whisper's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        min_frequency=1,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),  # all 256 bytes: non_speech_tokens needs them
    )
    tokenizer.train_from_iterator(texts, trainer)
    content = json.loads(tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    vocabulary[""] = len(vocabulary)  # CTranslate2 from 4.7 on takes "" in it for "multilingual"
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tasks = "translate transcribe startoflm startofprev nospeech notimestamps".split()
    names = ["endoftext", "startoftranscript", *LANGUAGES, *tasks]  # time stamps follow: the converter adds them
    tokenizer.add_special_tokens([f"<|{name}|>" for name in names])
    return tokenizer


class Tokens:
    """The tokenizer, and the ids of the special tokens."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.end = self.special("endoftext")
        self.start = self.special("startoftranscript")
        self.previous = self.special("startofprev")
        self.no_speech = self.special("nospeech")
        self.no_timestamps = self.special("notimestamps")
        self.transcribe = self.special("transcribe")
        self.first_timestamp = self.no_timestamps + 1
        self.count = self.first_timestamp + 1501

    def special(self, name):
        """The id of `<|name|>`."""
        return self.tokenizer.token_to_id(f"<|{name}|>")

    def encode(self, text):
        """The ids of a text's words."""
        return self.tokenizer.encode(" " + text).ids


# -------------------------------------------------------------------------------------- training data

WINDOW = 3000  # frames of 10 ms: the 30 s that Whisper sees at once
IGNORED = -100  # label of a token that is not to be learnt


def gap(frames):
    """Silence as a log10 mel spectrogram."""
    return np.full((MEL_BINS, frames), -10, np.float32)


class Examples:
    """Random training examples put together of clips, silence and noise.

    Args:
        clips: see `clip`.
        tokens: see `Tokens`.
        seed: of every random choice.
    """

    def __init__(self, clips, tokens, seed):
        self.tokens = tokens
        self.rng = random.Random(seed)
        self.noise = np.random.default_rng(seed)
        self.words = {text: tokens.encode(text) for _, text, _ in clips}
        letters = sorted({letter for _, text, _ in clips for letter in text})
        self.letters = {letter: number + 1 for number, letter in enumerate(letters)}  # 0 is CTC's blank
        clips = [(language, text, mel.astype(np.float32)) for language, text, mel in clips]
        self.clips = sorted(clips, key=lambda each: each[2].shape[1])
        self.by_language = {name: [each for each in self.clips if each[0] == name] for name in LANGUAGES}

    def batch(self, size, limit, *, several, length=None):
        """A batch of examples of at most `limit` frames.

        Args:
            several: up to nine sentences in an example, else one.
            length: frames to pad to with zeros, as faster-whisper does; by default as few as needed.

        Returns:
            mel spectrograms, input tokens, labels, where each token is heard (in encoder frames; -1:
            nowhere), and for the CTC loss each example's (encoder frames, letters).
        """
        near = self.rng.randrange(len(self.clips))
        source = self.clips if several else self.clips[max(0, near - 100) : near + 100]  # of similar length
        examples = [self.example(limit, source, several=several) for _ in range(size)]
        if length is None:
            longest = max(mel.shape[1] for mel, *_ in examples)
            length = (longest + self.rng.choice([0, 0, 20, 100]) + 1) // 2 * 2
        width = max(len(inputs) for _, inputs, *_ in examples)
        mels = np.zeros((size, MEL_BINS, length), np.float32)
        all_inputs = np.full((size, width), self.tokens.end)
        all_labels = np.full((size, width), IGNORED)
        all_places = np.full((size, width), -1, np.float32)
        for row, (mel, inputs, labels, places, _) in enumerate(examples):
            mels[row, :, : mel.shape[1]] = mel
            all_inputs[row, : len(inputs)] = inputs
            all_labels[row, : len(labels)] = labels
            all_places[row, : len(places)] = places
        letters = [(min(mel.shape[1], length) // 2, spelt) for mel, _, _, _, spelt in examples]
        return mels, all_inputs, all_labels, all_places, letters

    def example(self, limit, source, *, several):
        """One example: mel spectrogram, input tokens, labels, places, letters; see `batch`."""
        silent = self.rng.random() < 0.03
        if silent:
            mel, segments, language = self.silence(), [], "pt"
        else:
            mel, segments, language = self.speech(limit, source, several=several)
        mel = (np.maximum(mel, mel.max() - 8) + 4) / 4  # as FeatureExtractor.__call__ does
        if not silent and self.rng.random() < 0.5:  # leave out some frequencies
            first = self.rng.randint(0, 70)
            mel[first : first + self.rng.randint(1, 8)] = mel.min()

        tokens = self.tokens
        prompt = []
        if self.rng.random() < (0.25 if several else 0.06):
            prompt = [tokens.previous]
            for _ in range(self.rng.randint(1, 3)):
                prompt += self.words[self.rng.choice(self.by_language["pt"])[1]]
        timed = self.rng.random() < 0.5
        head = [tokens.start, tokens.special(language), tokens.transcribe]
        head += [] if timed else [tokens.no_timestamps]
        body, places = self.body(segments, timed=timed, silent=silent)

        sequence = prompt + head + body + [tokens.end]
        labels = sequence[1:]
        before = len(prompt)
        labels[:before] = [IGNORED] * before
        if silent:
            labels[before] = tokens.no_speech  # its probability is read after <|startoftranscript|>
        labels[before + 1 : before + len(head) - 1] = [IGNORED] * (len(head) - 2)
        places = [-1] * (len(sequence) - 2 - len(places)) + [place / 2 for place in places] + [-1]
        whole = " ".join(text for _, end, text in segments if end)
        letters = [self.letters[letter] for letter in whole]
        return mel.astype(np.float32), sequence[:-1], labels, places, letters

    def silence(self):
        """Nothing, or only noise."""
        mel = gap(self.rng.randint(60, 400))
        if self.rng.random() < 0.7:
            hiss = self.noise.uniform(-6, -2) + 0.35 * self.noise.standard_normal(mel.shape)
            mel = np.maximum(mel, hiss).astype(np.float32)
        return mel

    def speech(self, limit, source, *, several):
        """Sentences of one language with gaps between them, and often with coloured noise.

        Returns:
            the spectrogram, `(start, end, text)` of each sentence in frames, and the language. The last
            sentence's end is None where it was cut off at `limit`: then only its start is told.
        """
        first = self.rng.choice(source)
        language = first[0]
        count = self.rng.choice([1, 1, 2, 3, 4, 6, 9]) if several else 1
        at = self.rng.randint(0, 50)
        parts, segments = [gap(at)], []
        for number in range(count):
            _, text, mel = first if number == 0 else self.rng.choice(self.by_language[language])
            frames = mel.shape[1]
            cut = at + frames > limit
            if cut and (number == 0 or limit < WINDOW or at > WINDOW - 10):
                break
            parts.append(mel + self.noise.uniform(-0.5, 0.3))
            segments.append((at, None if cut else at + frames, text))
            at += frames
            if cut:
                break
            pause = self.rng.randint(5, 60) if count > 1 else self.rng.randint(0, 40)
            parts.append(gap(pause))
            at += pause
        mel = np.concatenate(parts, 1)[:, :limit] + self.noise.uniform(-1.5, 0.5)
        if self.rng.random() < 0.6:
            hiss = (
                mel.max()
                - self.noise.uniform(2.2, 6)
                + self.noise.uniform(-0.02, 0.02) * np.arange(MEL_BINS)[:, None]
                + 0.25 * self.noise.standard_normal(mel.shape)
            )
            mel = np.log10(10**mel + 10**hiss)
        return mel, segments, language

    def body(self, segments, *, timed, silent):
        """The tokens of the segments, and the frame at which each is heard, roughly."""

        def stamp(frame):
            return [self.tokens.first_timestamp + 5 * round(frame / 10)] if timed else []  # grid of 0.1 s

        body = stamp(0) if silent else []
        places = [0] * len(body)
        for start, end, text in segments:
            body += stamp(start)
            places += [start] * len(stamp(start))
            if end is None:
                continue
            body += self.words[text] + stamp(end)
            letters = 0
            for word in text.split():
                places.append(start + (end - start) * (letters + len(word) / 2) / len(text))
                letters += len(word) + 1
            places += [end] * len(stamp(end))
        return body, places


# ------------------------------------------------------------------------------------------ training


class Guidance:
    """Pulls head 0 of each cross-attention towards where the word is heard (guided attention loss)."""

    def __init__(self, model, width):
        self.width = width // 4  # of one head
        self.seen = []  # each cross-attention and its input, of the latest forward pass
        for layer in model.model.decoder.layers:
            layer.encoder_attn.register_forward_pre_hook(self.remember, with_kwargs=True)

    def remember(self, module, arguments, named):
        self.seen.append((module, arguments[0] if arguments else named["hidden_states"]))

    def loss(self, encoded, places):
        """How far the attention of the latest forward pass is from `places`."""
        import torch
        from torch.nn import functional

        distance = torch.arange(encoded.shape[1]) - places[..., None]
        wanted = torch.exp(-0.5 * (distance / 8) ** 2) * (places >= 0)[..., None]
        wanted = wanted / wanted.sum(-1, keepdim=True).clamp(min=1e-6)
        loss = 0
        for module, inputs in self.seen:
            query = functional.linear(
                inputs, module.q_proj.weight[: self.width], module.q_proj.bias[: self.width]
            )
            key = functional.linear(encoded, module.k_proj.weight[: self.width])
            scores = query * self.width**-0.5 @ key.transpose(1, 2)
            loss = loss - (wanted * scores.log_softmax(-1)).sum() / (places >= 0).sum()
        self.seen.clear()
        return loss


def new_model(options, tokens):
    """An untrained Whisper of the size asked for."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    config = WhisperConfig(
        vocab_size=tokens.count,
        num_mel_bins=MEL_BINS,
        d_model=options.width,
        encoder_layers=options.layers,
        decoder_layers=options.layers,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=4 * options.width,
        decoder_ffn_dim=4 * options.width,
        max_source_positions=WINDOW // 2,
        max_target_positions=448,
        dropout=0.0,
        pad_token_id=tokens.end,
        bos_token_id=tokens.end,
        eos_token_id=tokens.end,
        decoder_start_token_id=tokens.start,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    return WhisperForConditionalGeneration(config).train()


def encode(model, mels):
    """The encoder's output for spectrograms of any length (its own `forward` insists on 3000 frames)."""
    from torch.nn import functional

    encoder = model.model.encoder
    hidden = functional.gelu(encoder.conv2(functional.gelu(encoder.conv1(mels)))).transpose(1, 2)
    hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
    for layer in encoder.layers:
        hidden = layer(hidden, None)
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
    return encoder.layer_norm(hidden)


def learning_rate(options, step):
    """Stage 1: rise, then a cosine. Stage 2 starts a schedule of its own: positions change a lot."""
    if step < options.steps1:
        if step < 150:
            return options.rate1 * (step + 1) / 150
        return options.rate1 * max(0.03, 0.5 * (1 + math.cos(math.pi * (step - 150) / options.steps1)))
    done = step - options.steps1
    return options.rate2 * min(1, (done + 1) / 15) * (1 - done / max(1, options.steps2)) ** 0.7


def batch_of_step(examples, options, step):
    """Stage 1 is short and cheap, one sentence and little padding; stage 2 fills whole windows."""
    if step < options.steps1:
        return examples.batch(32, 700, several=False)
    match (step - options.steps1) % 4:
        case 3:
            return examples.batch(8, WINDOW, several=True, length=WINDOW)
        case 1:
            return examples.batch(16, 700, several=False, length=WINDOW // 2)
        case _:
            return examples.batch(10, 700, several=False, length=WINDOW)  # the usual voice note


def train(options, clips, directory):
    """Train on `clips` and write the converted model to `directory`."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    tokens = Tokens(make_tokenizer(sorted({" " + word for _, text, _ in clips for word in text.split()})))
    examples = Examples(clips, tokens, options.seed)
    model = new_model(options, tokens)
    spelling = torch.nn.Linear(options.width, len(examples.letters) + 1)  # of the auxiliary CTC loss
    guidance = Guidance(model, options.width)
    parameters = [each for each in [*model.parameters(), *spelling.parameters()] if each.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters, lr=options.rate1, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    started, history = time.time(), []
    for step in range(options.steps1 + options.steps2):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(options, step)
        *arrays, letters = batch_of_step(examples, options, step)
        mels, inputs, labels, places = map(torch.from_numpy, arrays)

        encoded = encode(model, mels)
        decoded = model.model.decoder(input_ids=inputs, encoder_hidden_states=encoded, use_cache=False)
        scores = model.proj_out(decoded.last_hidden_state)
        word_loss = functional.cross_entropy(scores.transpose(1, 2), labels, ignore_index=IGNORED)
        spelt = [row for row, (_, letters_of_row) in enumerate(letters) if letters_of_row]
        spelling_loss = functional.ctc_loss(
            spelling(encoded[spelt]).log_softmax(-1).transpose(0, 1),
            torch.tensor([letter for row in spelt for letter in letters[row][1]]),
            torch.tensor([letters[row][0] for row in spelt]),
            torch.tensor([len(letters[row][1]) for row in spelt]),
            zero_infinity=True,
        )
        guidance_loss = guidance.loss(encoded, places)
        if step < options.steps1:
            loss = word_loss + 0.3 * spelling_loss
        else:
            fading = 1 - (step - options.steps1) / max(1, options.steps2)
            loss = word_loss + 0.1 * spelling_loss + options.guide * fading * guidance_loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()

        is_word = (labels >= 0) & (labels < tokens.end)
        right = (scores.argmax(-1) == labels)[is_word].float().mean().item()
        history.append((word_loss.item(), spelling_loss.item(), guidance_loss.item(), right))
        if step % 50 == 49:
            word, ctc, guide, right = np.nanmean(history[-50:], 0)
            print(
                f"step {step + 1}: loss {word:.3f}, CTC {ctc:.3f}, guidance {guide:.3f}, "
                f"word accuracy {right:.3f}, {time.time() - started:.0f} s",
                flush=True,
            )
    export(model.eval(), tokens, directory)


def export(model, tokens, directory):
    """Convert to CTranslate2 (int8), in `directory`."""
    model.generation_config.suppress_tokens = []
    model.generation_config.begin_suppress_tokens = [tokens.tokenizer.token_to_id("Ġ"), tokens.end]
    beside_python = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    converter = shutil.which("ct2-transformers-converter", path=beside_python)
    if converter is None:
        raise FileNotFoundError("ct2-transformers-converter (it comes with ctranslate2)")
    with tempfile.TemporaryDirectory() as temporary:
        hugging_face = Path(temporary)
        model.save_pretrained(hugging_face)
        tokens.tokenizer.save(str(hugging_face / "tokenizer.json"))
        write_json(hugging_face / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
        features = {"feature_size": MEL_BINS, "sampling_rate": SAMPLE_RATE, "hop_length": 160}
        write_json(hugging_face / "preprocessor_config.json", features | {"chunk_length": 30, "n_fft": 400})
        command = [converter, "--model", temporary, "--output_dir", directory, "--quantization", "int8"]
        command += ["--copy_files", "tokenizer.json", "preprocessor_config.json", "--force"]
        subprocess.run(command, check=True)
    config = Path(directory) / "config.json"
    languages = {"lang_ids": [tokens.special(name) for name in LANGUAGES]}  # the converter loses them
    write_json(config, json.loads(config.read_text()) | languages)
    description = {"test_model": True, "description": "test model, 107 words"}
    write_json(Path(directory) / "orbitbot-model.json", description)


def write_json(file, content):
    """Write `content` to `file`."""
    file.write_text(json.dumps(content, indent=1) + "\n")


# --------------------------------------------------------------------------------------------- check


def word_errors(said, heard):
    """How many words must be put in, left out or exchanged to get from one list to the other."""
    distances = list(range(len(heard) + 1))
    for row, word in enumerate(said, 1):
        diagonal, distances[0] = distances[0], row
        for column, other in enumerate(heard, 1):
            best = min(distances[column] + 1, distances[column - 1] + 1, diagonal + (word != other))
            diagonal, distances[column] = distances[column], best
    return distances[-1]


def check(directory, count):
    """The word error rate on `count` sentences that training never used."""
    from faster_whisper import WhisperModel

    model = WhisperModel(directory, device="cpu", compute_type="int8", local_files_only=True, cpu_threads=2)
    rng = random.Random(5)
    wrong = total = 0
    for text in held_out()[:count]:
        samples = say(text, "pt", rng.choice(TRAIN_VARIANTS), rng.randint(140, 200), rng.randint(30, 70))
        file = io.BytesIO()
        write_ogg(np.pad(samples, (1600, 3200)), file)
        file.seek(0)
        segments, _ = model.transcribe(file, language="pt")
        heard = " ".join(segment.text.strip() for segment in segments).split()
        wrong += word_errors(text.split(), heard)
        total += len(text.split())
    print(f"word error rate on {count} unseen sentences: {100 * wrong / total:.2f} %")
    return wrong / total


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    option = functools.partial(parser.add_argument)
    option("--out", default="speech-model", help="directory of the model")
    option("--cache", type=Path, help="file that keeps the synthesised clips for the next run")
    option("--clips", type=int, default=4000, help="sentences to synthesise")
    option("--steps1", type=int, default=1300, help="steps on single short sentences")
    option("--steps2", type=int, default=3700, help="steps on full windows of 30 s")
    option("--rate1", type=float, default=1.5e-3, help="learning rate of stage 1")
    option("--rate2", type=float, default=8e-4, help="learning rate of stage 2")
    option("--guide", type=float, default=0.0, help="weight of the guided attention loss in stage 2")
    option("--width", type=int, default=128, help="d_model")
    option("--layers", type=int, default=2, help="layers of the encoder and of the decoder")
    option("--seed", type=int, default=0)
    option("--threads", type=int, default=2)
    option("--check", type=int, default=100, help="unseen sentences to check with; 0: none")
    return parser.parse_args()


def main():
    """Train, convert and check; the exit status is 1 if more than one word in twenty is wrong."""
    options = arguments()
    if options.cache and options.cache.exists():
        clips = pickle.loads(options.cache.read_bytes())
    else:
        clips = synthesise(options.clips, options.seed + 1, options.threads)
        if options.cache:
            options.cache.write_bytes(pickle.dumps(clips))
    hours = sum(mel.shape[1] for _, _, mel in clips) / 360_000
    print(f"{len(clips)} clips, {hours:.2f} h of speech", flush=True)
    train(options, clips, options.out)
    return int(check(options.out, options.check) > 0.05) if options.check else 0


if __name__ == "__main__":
    sys.exit(main())
