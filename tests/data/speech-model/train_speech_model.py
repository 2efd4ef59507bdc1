#!/usr/bin/env python3
"""Train a tiny, genuine Whisper model on espeak-ng Portuguese (closed grammar) and convert it to CTranslate2 int8.

  apt: espeak-ng    pip: torch (CPU) transformers tokenizers ctranslate2 faster-whisper av numpy
  python train_speech_model.py --out speech-model [--steps1 1300 --steps2 3700 --clips 4000 --seed 0]
The result is a directory for faster_whisper.WhisperModel(dir, device="cpu", compute_type="int8", local_files_only=True).
"""
import argparse, io, json, os, pickle, random, shutil, subprocess, sys, tempfile, time
import numpy as np

# ---------------------------------------------------------------- grammar
DIGIT = "zero um dois três quatro cinco seis sete oito nove".split()
NUM = "três quatro cinco seis sete oito nove dez doze quinze vinte trinta".split()
DAY = "segunda terça quarta quinta sexta sábado domingo hoje amanhã".split()
UNIT = {"pacotes": "m", "quilos": "m", "sacos": "m", "caixas": "f", "garrafas": "f", "latas": "f"}
PROD = {"arroz": "o", "feijão": "o", "café": "o", "açúcar": "o", "leite": "o", "farinha": "a", "óleo": "o", "macarrão": "o",
        "sal": "o", "queijo": "o", "pão": "o", "água": "a", "carne": "a", "manteiga": "a"}
NAME = {"maria": "a", "ana": "a", "joão": "o", "pedro": "o", "carlos": "o", "paula": "a", "lucas": "o"}
STREET = "flores bahia brasil direita nova".split()
GREET = ["bom dia", "boa tarde", "boa noite", "olá", "oi"]
CLOSE = ["por favor", "obrigado", "muito obrigado", "até logo", "até amanhã"]

def sentence(r):
    """One random Portuguese sentence (lower case, no punctuation, 107 different words in all)."""
    c = r.choice
    def qty():
        u = c(list(UNIT)); n = c(NUM + (["dois"] if UNIT[u] == "m" else ["duas"]) * 2)
        return f"{n} {u} de {c(list(PROD))}"
    def when():
        d = c(DAY)
        return c([d if d in ("hoje", "amanhã") else f"para {d}", f"{d} de manhã", f"{d} à tarde", f"{d} à noite",
                  f"{d} às {c(NUM[:7])} horas"])
    def digits(k): return " ".join(c(DIGIT) for _ in range(k))
    def order(): return c([f"quero {qty()}", f"preciso de {qty()}", f"pode mandar {qty()}", f"pode entregar {qty()}",
                           f"quero {qty()} e {qty()}"])
    k = r.random()
    if k < .36: s = order() + (" " + when() if r.random() < .5 else "")
    elif k < .48: s = f"quero {c(['cancelar', 'confirmar', 'mudar'])} o pedido número {digits(3)}"
    elif k < .58: p = c(list(PROD)); s = f"qual é o preço d{PROD[p]} {p}" + (" " + c(["hoje", "agora"]) if r.random() < .4 else "")
    elif k < .68: s = f"o pedido número {digits(3)} {c(['não chegou', 'chegou hoje', 'chegou ontem', 'ainda não chegou'])}"
    elif k < .77: s = f"a entrega ficou para {when().removeprefix('para ')}"
    elif k < .86: s = f"meu {c(['código', 'telefone'])} é {digits(r.randint(3, 5))}"
    elif k < .93: s = f"pode entregar na rua {c(STREET)} número {digits(r.randint(2, 3))}"
    else: n = c(list(NAME)); s = f"aqui é {NAME[n]} {n} " + order()
    if r.random() < .25: s = c(GREET) + " " + s
    if r.random() < .2: s = s + " " + c(CLOSE)
    return s

def foreign(r):
    """A little English and Spanish, so that language detection has something to tell apart."""
    c = r.choice
    if r.random() < .5:
        n = c("one two three four five six seven eight nine".split())
        return "en", f"{c(['i want', 'please send', 'we need'])} {n} {c(['boxes', 'bottles', 'bags'])} of {c(['rice', 'milk', 'water', 'coffee'])}" + c(["", " today", " tomorrow"])
    n = c("uno dos tres cuatro cinco seis siete ocho nueve".split())
    return "es", f"{c(['yo quiero', 'necesito', 'envíe'])} {n} {c(['cajas', 'botellas', 'bolsas'])} de {c(['arroz', 'leche', 'agua', 'azúcar'])}" + c(["", " hoy", " mañana"])

def held_out(n=400, seed=999):
    """Test sentences, which training never uses."""
    r = random.Random(seed); out = []
    while len(out) < n:
        s = sentence(r)
        if s not in out: out.append(s)
    return out

# ---------------------------------------------------------------- speech
LANGS = ["en", "es", "pt"]
VOICE = {"pt": "pt-br", "en": "en-us", "es": "es-419"}
TRAIN_VARIANTS = ["", "m1", "m2", "m3", "m4", "m7", "f1", "f2", "f3", "f4", "Diogo", "Henrique", "anika", "max", "steph", "Alicia"]
TEST_VARIANTS = ["m5", "f5", "Andy", "linda"]          # never heard in training

def say(text, lang="pt", variant="", speed=160, pitch=50):
    """espeak-ng -> float32 at 16 kHz, silence at both ends cut."""
    import av
    voice = VOICE[lang] + ("+" + variant if variant else "")
    w = subprocess.run(["espeak-ng", "--stdout", "-v", voice, "-s", str(speed), "-p", str(pitch), text],
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    pcm = np.frombuffer(w[44:len(w) - len(w) % 2], np.int16)     # --stdout's header gives no true length
    f = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono"); f.sample_rate = int.from_bytes(w[24:28], "little")
    rs = av.AudioResampler(format="s16", layout="mono", rate=16000)
    x = np.concatenate([g.to_ndarray()[0] for h in (f, None) for g in rs.resample(h)]).astype(np.float32) / 32768
    on = np.flatnonzero(np.abs(x) > .01)
    return x[max(0, on[0] - 320):on[-1] + 320]

def write_ogg(x, file, bit_rate=16000):
    """float32 at 16 kHz -> OGG/Opus (path or file object), as a voice note."""
    import av
    with av.open(file, "w", format="ogg") as c:
        s = c.add_stream("libopus", rate=16000, layout="mono"); s.bit_rate = bit_rate; s.options = {"application": "voip"}
        pcm = (np.clip(x, -1, 1) * 32767).astype(np.int16)
        for i in range(0, len(pcm), 16000):
            f = av.AudioFrame.from_ndarray(pcm[None, i:i + 16000], format="s16", layout="mono"); f.sample_rate = 16000; f.pts = i
            c.mux(s.encode(f))
        c.mux(s.encode(None))

def clip(job):
    """(lang, text, variant, speed, pitch) -> (lang, text, log10 mel not yet clamped), through Opus and faster-whisper's own mel filters."""
    from faster_whisper.audio import decode_audio
    from faster_whisper.feature_extractor import FeatureExtractor
    lang, text, *how = job; x = say(text, lang, *how); b = io.BytesIO(); write_ogg(x, b); b.seek(0)
    x = np.pad(decode_audio(b)[:len(x) + 640], (0, 160)); fe = FeatureExtractor(feature_size=80)
    p = np.abs(fe.stft(x, 400, 160, window=np.hanning(401)[:-1].astype("float32"), return_complex=True)[..., :-1]) ** 2
    return lang, text, np.log10(np.maximum(fe.mel_filters @ p, 1e-10)).astype(np.float16)

def synth(n, seed, procs):
    from multiprocessing import Pool
    r = random.Random(seed); seen = set(held_out()); J = []
    while len(J) < n:
        lang, text = foreign(r) if r.random() < .08 else ("pt", sentence(r))
        if text in seen: continue
        if lang == "pt": seen.add(text)
        J.append((lang, text, r.choice(TRAIN_VARIANTS), r.randint(135, 205), r.randint(25, 75)))
    with Pool(procs) as p: return p.map(clip, J, chunksize=16)

# ---------------------------------------------------------------- tokenizer: byte-level BPE, one token a word
def make_tokenizer(texts):
    from tokenizers import Tokenizer, models, pre_tokenizers, decoders, trainers
    t = Tokenizer(models.BPE()); t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False); t.decoder = decoders.ByteLevel()
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=4000, min_frequency=1, show_progress=False,
                          initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))   # all 256 bytes: non_speech_tokens needs them
    j = json.loads(t.to_str()); v = j["model"]["vocab"]; v[""] = len(v)            # CTranslate2 >= 4.7: "" in the vocabulary = multilingual
    t = Tokenizer.from_str(json.dumps(j))
    t.add_special_tokens(["<|endoftext|>", "<|startoftranscript|>"] + [f"<|{l}|>" for l in LANGS] + [f"<|{x}|>" for x in
                         "translate transcribe startoflm startofprev nospeech notimestamps".split()])   # timestamps follow (converter adds them)
    return t

# ---------------------------------------------------------------- training
def train(A, clips, out):
    import torch, torch.nn.functional as F
    from transformers import WhisperConfig, WhisperForConditionalGeneration
    torch.set_num_threads(A.threads); torch.manual_seed(A.seed); R = random.Random(A.seed); NR = np.random.default_rng(A.seed)
    tok = make_tokenizer(sorted({" " + w for c in clips for w in c[1].split()})); ID = tok.token_to_id
    EOT, SOT, PREV, NOSP, NOTS, TRANS = [ID(f"<|{x}|>") for x in "endoftext startoftranscript startofprev nospeech notimestamps transcribe".split()]
    TS0 = NOTS + 1; V = TS0 + 1501; enc = {c[1]: tok.encode(" " + c[1]).ids for c in clips}
    CH = {c: i + 1 for i, c in enumerate(sorted({ch for c in clips for ch in c[1]}))}      # letters of the auxiliary CTC loss
    clips = sorted([(l, t, m.astype(np.float32)) for l, t, m in clips], key=lambda c: c[2].shape[1])
    by = {l: [c for c in clips if c[0] == l] for l in LANGS}
    gap = lambda n: np.full((80, n), -10, np.float32)

    def example(limit, multi, src):
        mel, segs, t = [], [], 0; silent = R.random() < .03
        if silent:
            x = gap(R.randint(60, 400)); lang = "pt"
            if R.random() < .7: x = np.maximum(x, NR.uniform(-6, -2) + .35 * NR.standard_normal(x.shape)).astype(np.float32)
        else:
            first = R.choice(src); lang = first[0]; k = R.choice([1, 1, 2, 3, 4, 6, 9]) if multi else 1
            t = R.randint(0, 50); mel = [gap(t)]
            for i in range(k):
                c = first if i == 0 else R.choice(by[lang]); n = c[2].shape[1]; cut = t + n > limit
                if cut and (i == 0 or limit < 3000 or t > 2990): break
                mel.append(c[2] + NR.uniform(-.5, .3)); segs.append((t, None if cut else t + n, c[1])); t += n
                if cut: break                                                     # cut at 30 s: only its start is told
                g = R.randint(5, 60) if k > 1 else R.randint(0, 40); mel.append(gap(g)); t += g
            x = np.concatenate(mel, 1)[:, :limit] + NR.uniform(-1.5, .5)
            if R.random() < .6:                                                   # coloured noise
                n = x.max() - NR.uniform(2.2, 6) + NR.uniform(-.02, .02) * np.arange(80)[:, None] + .25 * NR.standard_normal(x.shape)
                x = np.log10(10 ** x + 10 ** n)
        x = (np.maximum(x, x.max() - 8) + 4) / 4                                  # as FeatureExtractor.__call__ does
        if not silent and R.random() < .5: f = R.randint(0, 70); x[f:f + R.randint(1, 8)] = x.min()
        pre = [PREV] + [w for _ in range(R.randint(1, 3)) for w in enc[R.choice(by["pt"])[1]]] if R.random() < (.25 if multi else .06) else []
        ts = R.random() < .5; T = lambda f: [TS0 + 5 * round(f / 10)] if ts else []   # 0.1 s grid
        head = [SOT, ID(f"<|{lang}|>"), TRANS] + ([] if ts else [NOTS]); body = T(0) if silent else []
        mid = [0] * len(body)                                                     # roughly where each token is heard (for guided attention)
        for a, b, w in segs:
            body += T(a) if b is None else T(a) + enc[w] + T(b); mid += [a] * len(T(a)); q = 0
            if b is None: continue
            for v in w.split(): mid.append(a + (b - a) * (q + len(v) / 2) / len(w)); q += len(v) + 1
            mid += [b] * len(T(b))
        seq = pre + head + body + [EOT]; lab = seq[1:]; p = len(pre); lab[:p] = [-100] * p
        if silent: lab[p] = NOSP                                                  # no_speech_prob is read after <|startoftranscript|>
        lab[p + 1:p + len(head) - 1] = [-100] * (len(head) - 2)
        mid = [-1] * (len(seq) - 2 - len(mid)) + [v / 2 for v in mid] + [-1]
        return x.astype(np.float32), seq[:-1], lab, mid, [CH[ch] for ch in " ".join(w for _, b, w in segs if b)]

    def batch(bs, limit, multi, T=None):
        k = R.randrange(len(clips)); E = [example(limit, multi, clips if multi else clips[max(0, k - 100):k + 100]) for _ in range(bs)]
        T = T or (max(e[0].shape[1] for e in E) + R.choice([0, 0, 20, 100]) + 1) // 2 * 2; N = max(len(e[1]) for e in E)
        X = np.zeros((bs, 80, T), np.float32); I = np.full((bs, N), EOT); Y = np.full((bs, N), -100); G = np.full((bs, N), -1, np.float32)   # pad with 0, as faster-whisper does
        for i, (x, a, b, g, _) in enumerate(E): X[i, :, :x.shape[1]] = x; I[i, :len(a)] = a; Y[i, :len(b)] = b; G[i, :len(g)] = g
        return *map(torch.from_numpy, (X, I, Y, G)), [(min(e[0].shape[1], T) // 2, e[4]) for e in E]

    cfg = WhisperConfig(vocab_size=V, num_mel_bins=80, d_model=A.d, encoder_layers=A.layers, decoder_layers=A.layers, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=4 * A.d, decoder_ffn_dim=4 * A.d, max_source_positions=1500, max_target_positions=448, dropout=0.,
        pad_token_id=EOT, bos_token_id=EOT, eos_token_id=EOT, decoder_start_token_id=SOT, suppress_tokens=None, begin_suppress_tokens=None)
    M = WhisperForConditionalGeneration(cfg).train(); ctc_head = torch.nn.Linear(A.d, len(CH) + 1); total = A.steps1 + A.steps2

    def encode(X):                                       # HF's own encoder forward insists on 3000 frames
        e = M.model.encoder; h = F.gelu(e.conv2(F.gelu(e.conv1(X)))).transpose(1, 2); h = h + e.embed_positions.weight[:h.shape[1]]
        for l in e.layers: h = l(h, None); h = h[0] if isinstance(h, tuple) else h
        return e.layer_norm(h)
    seen = []                                            # inputs of each cross-attention, for the guided attention loss
    for l in M.model.decoder.layers: l.encoder_attn.register_forward_pre_hook(lambda m, a, k: seen.append((m, a[0] if a else k["hidden_states"])), with_kwargs=True)

    def guide(h, G):                                     # pull head 0 of each cross-attention towards where the word is heard
        w = torch.exp(-.5 * ((torch.arange(h.shape[1]) - G[..., None]) / 8) ** 2) * (G >= 0)[..., None]; w = w / w.sum(-1, keepdim=True).clamp(min=1e-6)
        n = A.d // 4; loss = 0
        for m, x in seen:
            q = F.linear(x, m.q_proj.weight[:n], m.q_proj.bias[:n]) * n ** -.5; k = F.linear(h, m.k_proj.weight[:n])
            loss = loss - (w * (q @ k.transpose(1, 2)).log_softmax(-1)).sum() / (G >= 0).sum()
        seen.clear(); return loss
    P = [p for p in [*M.parameters(), *ctc_head.parameters()] if p.requires_grad]
    opt = torch.optim.AdamW(P, lr=A.lr, betas=(.9, .98), weight_decay=.01, fused=True); t0, c0, log = time.time(), time.process_time(), []
    for s in range(total):
        one = s < A.steps1; u = s - A.steps1; fr = u / max(1, A.steps2)          # stage 2 starts its own schedule: positions change a lot
        lr = A.lr * ((s + 1) / 150 if s < 150 else max(.03, .5 * (1 + np.cos(np.pi * (s - 150) / A.steps1)))) if one else \
            A.lr2 * min(1, (u + 1) / 15) * (1 - fr) ** .7
        for g in opt.param_groups: g["lr"] = lr
        if one: X, I, Y, G, ct = batch(32, 700, False)                            # short, cheap: one sentence, padded little
        elif u % 4 == 3: X, I, Y, G, ct = batch(8, 3000, True, 3000)              # full windows of 30 s, up to 9 sentences
        elif u % 4 == 1: X, I, Y, G, ct = batch(16, 700, False, 1500)
        else: X, I, Y, G, ct = batch(10, 700, False, 3000)                        # one sentence in a full window: the usual voice note
        h = encode(X); z = M.proj_out(M.model.decoder(input_ids=I, encoder_hidden_states=h, use_cache=False).last_hidden_state)
        ce = F.cross_entropy(z.transpose(1, 2), Y, ignore_index=-100); keep = [i for i, c in enumerate(ct) if c[1]]
        ctc = F.ctc_loss(ctc_head(h[keep]).log_softmax(-1).transpose(0, 1), torch.tensor([c for i in keep for c in ct[i][1]]),
                         torch.tensor([ct[i][0] for i in keep]), torch.tensor([len(ct[i][1]) for i in keep]), zero_infinity=True)
        ga = guide(h, G); opt.zero_grad(); (ce + (.3 if one else .1) * ctc + (0 if one else A.guide * (1 - fr)) * ga).backward(); torch.nn.utils.clip_grad_norm_(P, 1.); opt.step()
        m = (Y >= 0) & (Y < EOT); log.append((ce.item(), ctc.item(), ga.item(), (z.argmax(-1) == Y)[m].float().mean().item()))
        if s % 50 == 49: print(f"step {s + 1} ce {np.mean(log[-50:], 0)[0]:.3f} ctc {np.mean(log[-50:], 0)[1]:.3f} guide {np.mean(log[-50:], 0)[2]:.3f} word accuracy {np.nanmean(log[-50:], 0)[3]:.3f}"
                               f" wall {time.time() - t0:.0f} s cpu {time.process_time() - c0:.0f} s", flush=True)
    # ------------------------------------------------------------ export
    with tempfile.TemporaryDirectory() as hf:
        M.eval(); M.generation_config.suppress_tokens = []; M.generation_config.begin_suppress_tokens = [ID("Ġ"), EOT]
        M.save_pretrained(hf); tok.save(hf + "/tokenizer.json")
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast"}, open(hf + "/tokenizer_config.json", "w"))
        json.dump({"feature_size": 80, "sampling_rate": 16000, "hop_length": 160, "chunk_length": 30, "n_fft": 400}, open(hf + "/preprocessor_config.json", "w"))
        subprocess.run([shutil.which("ct2-transformers-converter", path=os.path.dirname(sys.executable) + ":" + os.environ["PATH"]), "--model", hf,
                        "--output_dir", out, "--quantization", "int8", "--copy_files", "tokenizer.json", "preprocessor_config.json", "--force"], check=True)
    c = json.load(open(out + "/config.json")); c["lang_ids"] = [ID(f"<|{l}|>") for l in LANGS]   # transformers 5 drops generation_config.lang_to_id
    json.dump(c, open(out + "/config.json", "w"), indent=1)

# ---------------------------------------------------------------- check
def check(out, n):
    from faster_whisper import WhisperModel
    m = WhisperModel(out, device="cpu", compute_type="int8", local_files_only=True, cpu_threads=2); r = random.Random(5); wrong = total = 0
    for text in held_out()[:n]:
        b = io.BytesIO(); write_ogg(np.pad(say(text, "pt", r.choice(TRAIN_VARIANTS), r.randint(140, 200), r.randint(30, 70)), (1600, 3200)), b); b.seek(0)
        h = " ".join(s.text.strip() for s in m.transcribe(b, language="pt")[0]).split(); ref = text.split()
        d = list(range(len(h) + 1))
        for i, x in enumerate(ref, 1):
            p, d[0] = d[0], i
            for j, y in enumerate(h, 1): p, d[j] = d[j], min(d[j] + 1, d[j - 1] + 1, p + (x != y))
        wrong += d[-1]; total += len(ref)
    print(f"WER on {n} unseen sentences: {100 * wrong / total:.2f} %"); return wrong / total

if __name__ == "__main__":
    a = argparse.ArgumentParser()
    for k, v in dict(out="speech-model", cache="", steps1=1300, steps2=3700, clips=4000, d=128, layers=2, lr=1.5e-3, lr2=8e-4, guide=0., seed=0, threads=2, check=100).items():
        a.add_argument("--" + k, type=type(v), default=v)
    A = a.parse_args(); t = time.time()
    if A.cache and os.path.exists(A.cache): C = pickle.load(open(A.cache, "rb"))
    else:
        C = synth(A.clips, A.seed + 1, A.threads)
        if A.cache: pickle.dump(C, open(A.cache, "wb"))
    print(f"{len(C)} clips, {sum(c[2].shape[1] for c in C) / 360000:.2f} h of speech, {time.time() - t:.0f} s", flush=True)
    train(A, C, A.out); print({f: os.path.getsize(f"{A.out}/{f}") for f in sorted(os.listdir(A.out))}, f"{time.time() - t:.0f} s in all")
    sys.exit(check(A.out, A.check) > .05 if A.check else 0)
