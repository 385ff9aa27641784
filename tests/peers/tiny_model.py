#!/usr/bin/env python3
"""Writes a language model of 100 kB that does nothing but call tools, for ever.

    tiny_model.py CHAT_TEMPLATE OUTPUT.gguf        needs numpy and gguf

No weight of any real model is in it. The vocabulary is the 256 bytes, and attention and
feed-forward are zero, so the next token follows from the last one alone:

- a model that has just been given the word opens a call; so does one behind a line break;
- inside of a call the server's grammar allows only what the schema admits, and among that it
  prefers what ends soonest.
"""
import sys

import gguf
import numpy as np

# One narrow head: a token is a byte, so prompts are long, and attention is what takes the time.
WIDTH, HEADS, INNER, CONTEXT = 32, 1, 32, 131072
SPECIAL = ["<unk>", "<s>", "</s>"]
MARKS = ["<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]
TOKENS = SPECIAL + [f"<0x{byte:02X}>" for byte in range(256)] + MARKS
END, CALL, CALL_END = 2, TOKENS.index("<tool_call>"), TOKENS.index("</tool_call>")

# What the last token makes of the state, one axis for each kind.
USUALLY, IN_CALL, GIVEN_THE_WORD, LINE_BREAK = 1, 2, 0, 3


def byte(character: str) -> int:
    return len(SPECIAL) + ord(character)


def tables() -> tuple[np.ndarray, np.ndarray]:
    """The state behind each token, and how much each token is wanted in each state."""
    state = np.zeros((len(TOKENS), WIDTH), np.float32)
    state[:, USUALLY] = 1
    for token, axis in ((byte(":"), GIVEN_THE_WORD), (CALL, IN_CALL), (byte("\n"), LINE_BREAK)):
        state[token] = 0
        state[token, axis] = 1

    wanted = np.zeros((len(TOKENS), WIDTH), np.float32)
    for token, axis, how_much in (
        (CALL, GIVEN_THE_WORD, 20), (CALL, USUALLY, -20), (CALL, LINE_BREAK, -20),
        (byte("\n"), IN_CALL, 20), (byte("{"), LINE_BREAK, 20), (byte("}"), LINE_BREAK, 8),
        (CALL_END, LINE_BREAK, 12), (byte('"'), LINE_BREAK, 6), (END, LINE_BREAK, 5),
        (CALL_END, GIVEN_THE_WORD, 4), (CALL_END, USUALLY, -20),
        (END, GIVEN_THE_WORD, 5), (END, USUALLY, 12),
        (byte('"'), GIVEN_THE_WORD, 6), (byte('"'), USUALLY, 10),
        (byte("}"), GIVEN_THE_WORD, 5), (byte("}"), USUALLY, 9),
        (byte("1"), GIVEN_THE_WORD, 1), (byte("1"), USUALLY, 3),
        (byte("t"), GIVEN_THE_WORD, 1), (byte("t"), USUALLY, 4),
        (byte("r"), GIVEN_THE_WORD, 1), (byte("r"), USUALLY, 3.5),
        (byte("i"), GIVEN_THE_WORD, 1), (byte("i"), USUALLY, 3.2),
        # The first letter of the tool that it calls where it has the choice.
        (byte("e"), GIVEN_THE_WORD, 1), (byte("e"), USUALLY, 5),
        # White space is always admitted, and would never end.
        (byte(" "), GIVEN_THE_WORD, -5), (byte(" "), USUALLY, -5),
        (byte("\n"), GIVEN_THE_WORD, -5), (byte("\n"), USUALLY, -3),
        (byte("\t"), GIVEN_THE_WORD, -9), (byte("\t"), USUALLY, -9),
    ):  # fmt: skip
        wanted[token, axis] = how_much
    # No two tokens are wanted alike, or rounding would decide.
    apart = np.linspace(0.01, 0, len(TOKENS), dtype=np.float32)
    wanted[:, GIVEN_THE_WORD] += apart
    wanted[:, USUALLY] += apart
    return state, wanted


def main() -> None:
    template, output = sys.argv[1:]
    writer = gguf.GGUFWriter(output, "llama")
    writer.add_name("calls-for-ever")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(TOKENS))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)

    kind = gguf.TokenType
    kinds = [kind.UNKNOWN, kind.CONTROL, kind.CONTROL] + [kind.BYTE] * 256
    kinds += [kind.CONTROL, kind.CONTROL, kind.USER_DEFINED, kind.USER_DEFINED]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.0] * len(TOKENS))
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    with open(template, encoding="utf-8") as text:
        writer.add_chat_template(text.read())

    state, wanted = tables()
    writer.add_tensor("token_embd.weight", state)
    writer.add_tensor("output.weight", wanted)
    # Less certain than it could be, so that the grammar is what decides inside of a call.
    writer.add_tensor("output_norm.weight", np.full(WIDTH, 2 / np.sqrt(WIDTH), np.float32))
    for name, shape in (
        ("attn_q", (WIDTH, WIDTH)), ("attn_k", (WIDTH, WIDTH)), ("attn_v", (WIDTH, WIDTH)),
        ("attn_output", (WIDTH, WIDTH)), ("ffn_gate", (INNER, WIDTH)), ("ffn_up", (INNER, WIDTH)),
        ("ffn_down", (WIDTH, INNER)),
    ):  # fmt: skip
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros(shape, np.float32))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
