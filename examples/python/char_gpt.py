# SPDX-License-Identifier: MIT
"""A four-layer transformer learns to write, letter by letter, from any text file.

    python examples/python/char_gpt.py [--text FILE] [--steps 1500] [--threads 2]

Without --text: tinyshakespeare from $TINYFIN_DATA or the cache, else downloaded, else the
project's own documentation.
"""

import argparse
import os
import random
import time
import urllib.request
from pathlib import Path

import tinyfin as tf
from tinyfin import nn
from tinyfin.data.mnist import cache_folder
from tinyfin.nn import functional as F
from tinyfin.optim import AdamW
from tinyfin.scheduler import OneCycleLR

URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"


def find_text(path):
    if path:
        return Path(path).read_text(encoding="utf-8")
    roots = [Path(p) for p in (os.environ.get("TINYFIN_DATA"), cache_folder()) if p]
    for place in [r / "tinyshakespeare" / "input.txt" for r in roots]:
        if place.is_file():
            return place.read_text(encoding="utf-8")
    try:
        with urllib.request.urlopen(URL, timeout=20) as answer:
            data = answer.read()
        place = cache_folder() / "tinyshakespeare" / "input.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return data.decode()
    except OSError as error:
        print(f"no tinyshakespeare ({error}): reading the project's documentation instead")
    root = Path(__file__).resolve().parents[2]
    return "\n".join(p.read_text(encoding="utf-8") for p in sorted(root.glob("docs/*.md")))


class Block(nn.Module):
    """Causal self-attention, then a feed-forward network, each added to its input."""

    def __init__(self, width, heads):
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width, activation="gelu_tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        B, T, C = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(B, T, 3, self.heads, C // self.heads)
        y = F.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4), is_causal=True)
        x = x + self.out(y.permute(0, 2, 1, 3).reshape(B, T, C))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, letters, context, width, heads, layers):
        self.context = context
        self.letters = nn.Embedding(letters, width)
        self.places = nn.Embedding(context, width)
        self.blocks = nn.Sequential([Block(width, heads) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, letters, bias=False)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                scale = (2 * layers) ** -0.5 if "out.w" in name or "mlp.1.w" in name else 1.0
                nn.init.normal(p, 0.0, 0.02 * scale)
            elif name.endswith("bias"):
                nn.init.zeros(p)

    def forward(self, tokens):
        x = self.letters(tokens) + self.places(tf.arange(tokens.shape[1]))
        return self.head(self.norm(self.blocks(x)))

    @tf.no_grad()
    def write(self, prompt, length, alphabet, temperature=0.8):
        tokens = [alphabet.index(c) for c in prompt]
        for _ in range(length):
            recent = tf.Tensor([tokens[-self.context :]], dtype="int64")
            chances = F.softmax(self(recent)[0, -1] * (1 / temperature), dim=-1).tolist()
            tokens += random.choices(range(len(alphabet)), chances)
        return "".join(alphabet[t] for t in tokens)


def batches(tokens, batch_size, context):
    """Random pieces of the text, and the same one letter further."""
    while True:
        starts = [random.randrange(len(tokens) - context) for _ in range(batch_size)]
        x = tf.stack([tokens[s : s + context] for s in starts])
        y = tf.stack([tokens[s + 1 : s + context + 1] for s in starts])
        yield x, y


def loss_of(model, x, y):
    return nn.cross_entropy(model(x).reshape(-1, model.head.out_features), y.reshape(-1))


@tf.no_grad()
def evaluate(model, tokens, context, pieces=64):
    """Mean loss over pieces spread evenly over the text."""
    gap = max((len(tokens) - context - 1) // pieces, 1)
    starts = range(0, len(tokens) - context - 1, gap)
    x = tf.stack([tokens[s : s + context] for s in starts])
    y = tf.stack([tokens[s + 1 : s + context + 1] for s in starts])
    return loss_of(model, x, y).item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", metavar="FILE")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, help="default: all processors")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        tf.set_num_threads(options.threads)
    tf.manual_seed(options.seed)
    random.seed(options.seed)

    text = find_text(options.text)
    alphabet = sorted(set(text))
    number = {c: i for i, c in enumerate(alphabet)}
    tokens = tf.Tensor([number[c] for c in text], dtype="int64")
    cut = len(tokens) * 9 // 10
    train, held_out = tokens[:cut], tokens[cut:]

    model = GPT(len(alphabet), options.context, options.width, options.heads, options.layers)
    optimizer = AdamW(model.parameters(), lr=options.lr, betas=(0.9, 0.99), weight_decay=0.1)
    schedule = OneCycleLR(optimizer, options.lr, options.steps, pct_start=0.1, div_factor=10)
    print(
        f"{len(text):,} letters, {len(alphabet)} different, {model.num_parameters():,} parameters"
    )
    start = time.time()
    stream = batches(train, options.batch_size, options.context)
    for step in range(1, options.steps + 1):
        loss = loss_of(model, *next(stream))
        loss.backward()
        optimizer.step(clip_norm=1.0)
        optimizer.zero_grad()
        schedule.step()
        if step % 100 == 0 or step == options.steps:
            held = evaluate(model, held_out, options.context)
            print(
                f"step {step}  loss {loss.item():.3f}  validation {held:.3f} nats  "
                f"{time.time() - start:.0f} s",
                flush=True,
            )
    print(model.write("\n" if "\n" in number else alphabet[0], 400, alphabet))


if __name__ == "__main__":
    main()
