#!/usr/bin/env python3
"""Verifies an export of firewarden's journal, or a checkpoint with its proof:

    python3 audit_verify.py DIR KEY... [--partial] [--from-checkpoint FILE]
    python3 audit_verify.py --checkpoint FILE KEY... [--from-checkpoint FILE]

KEY is NAME+HASH+BASE64; after a rotation each key that held the log is named, oldest first.

A second implementation, from docs/audit.md and the standards alone (RFC 6962, RFC 8032, RFC 8785, C2SP
signed-note and tlog-checkpoint), with nothing but Python's standard library. It checks what needs no
knowledge of firewarden: signatures, the tree, that checkpoints follow each other and each is signed by the
key that held the log, that the log only grew since a checkpoint that somebody kept, that chains have no
gaps, and that payloads are what was committed to. What entries may say is for `firewarden audit verify`.

Exit 0: nothing is wrong. 1: something is; each line says what. 2: used wrongly.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import sys

# --- Ed25519 (RFC 8032, section 6) -------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def add(a, b):
    """Adds points in extended coordinates."""
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(n, point):
    result = (0, 1, 1, 0)
    while n:
        if n & 1:
            result = add(result, point)
        point = add(point, point)
        n >>= 1
    return result


def equal(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def recover(data):
    """The point that 32 bytes stand for, or None."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else (0, y, 1, 0)
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P:
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = recover((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(public, message, signature):
    if len(signature) != 64:
        return False
    a, r = recover(public), recover(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    return equal(multiply(s, BASE), add(r, multiply(k, a)))


# --- Base64, signed notes, checkpoints ----------------------------------------------------------------


class Wrong(Exception):
    pass


def unbase64(text):
    """Strictly: one text for one value."""
    try:
        data = base64.b64decode(text, validate=True)
    except Exception:
        raise Wrong("it is no base64") from None
    if base64.b64encode(data).decode() != text:
        raise Wrong("it is no base64")
    return data


def key_of(text):
    try:
        name, digest, key = text.split("+", 2)
        key = unbase64(key)
    except (ValueError, Wrong):
        raise Wrong("the key is not NAME+HASH+BASE64") from None
    if len(key) != 33 or key[0] != 1:
        raise Wrong("the key is not of Ed25519")
    if hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() != digest:
        raise Wrong("the key's hash is not its own")
    return name, bytes.fromhex(digest), key[1:]


def opened(note, keys):
    """The text of a note with exactly one signature, that of one of `keys`, and which."""
    text, separator, last = note.rpartition("\n\n")
    text += "\n"
    match = re.fullmatch("\u2014 ([^ \n]+) ([^ \n]+)\n", last)
    if not separator or not match:
        raise Wrong("it is no note with one signature")
    signature = unbase64(match.group(2))
    for place, (name, digest, public) in enumerate(keys):
        if match.group(1) == name and signature[:4] == digest:
            if not signed(public, text.encode(), signature[4:]):
                raise Wrong("its text is not what was signed")
            return text, place
    raise Wrong("another key signed it")


def checkpoint_of(note, keys):
    """Size, root, the size before, and which key signed."""
    number = "(0|[1-9][0-9]*)"
    text, place = opened(note, keys)
    match = re.fullmatch(f"([^\n]+)\n{number}\n([^\n]+)\ntime [^\n]+\nafter {number}\n", text)
    if not match or match.group(1) != keys[place][0]:
        raise Wrong("it is no checkpoint of this log")
    root = unbase64(match.group(3))
    size, after = int(match.group(2)), int(match.group(4))
    if len(root) != 32 or after >= size:
        raise Wrong("it is no checkpoint")
    return size, root, after, place


def kept(path, keys):
    """A checkpoint in a file, as a note or in the JSON that comes with it, and that JSON."""
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        answer = {"note": text}
    try:
        return checkpoint_of(answer["note"], keys), answer
    except (Wrong, KeyError, TypeError, AttributeError) as error:
        raise Wrong(f"the checkpoint in {path} does not hold: {error}") from None


def is_consistent(first, second, path, old, new):
    """Whether a proof (RFC 9162, 2.1.4.2) shows that the longer list begins with the shorter one."""
    node = lambda left, right: hashlib.sha256(b"\1" + left + right).digest()
    if first == second:
        return not path and old == new
    if first & (first - 1) == 0:
        path = [old, *path]
    if not path:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    of_old = of_new = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            of_old, of_new = node(other, of_old), node(other, of_new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            of_new = node(of_new, other)
        at, last = at >> 1, last >> 1
    return last == 0 and of_old == old and of_new == new


# --- Merkle tree (RFC 6962) ---------------------------------------------------------------------------


class Tree:
    """Roots of the full subtrees, largest first."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def push(self, data):
        digest, full = hashlib.sha256(b"\0" + data).digest(), self.size
        while full & 1:
            digest = hashlib.sha256(b"\1" + self.peaks.pop() + digest).digest()
            full >>= 1
        self.peaks.append(digest)
        self.size += 1

    def root(self):
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        digest = self.peaks[-1]
        for left in reversed(self.peaks[:-1]):
            digest = hashlib.sha256(b"\1" + left + digest).digest()
        return digest


# --- JSON: as it was written, and canonical (RFC 8785) ------------------------------------------------


class Number(str):
    """A number, in its own digits."""


def unique(pairs):
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key is there twice")
    return fields


def refuse(word):
    raise ValueError(f"{word} is no JSON")


def read(text):
    return json.loads(
        text, parse_int=Number, parse_float=Number, parse_constant=refuse, object_pairs_hook=unique
    )


def string(text):
    """Only what must be is escaped, as in RFC 8785."""
    return json.dumps(text, ensure_ascii=False)


def double(text):
    """A double as ECMAScript writes it."""
    value = float(text)
    if value == 0:
        return "0"
    sign, value = ("-", -value) if value < 0 else ("", value)
    digits, _, exponent = repr(value).partition("e")
    whole, _, fraction = digits.partition(".")
    fraction = "" if fraction == "0" else fraction
    point = len(whole) + int(exponent or 0)
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    power = point - 1
    mantissa = digits[0] + ("." + digits[1:] if count > 1 else "")
    return f"{sign}{mantissa}e{'+' if power >= 0 else '-'}{abs(power)}"


INTEGER = re.compile("-?(0|[1-9][0-9]*)")


def canonical_number(text):
    """Integers that a double cannot tell apart are texts of their digits."""
    if INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**64:
        return str(int(text)) if abs(int(text)) <= 2**53 else f'"integer {int(text)}"'
    return double(text)


def own_number(text):
    """As the exporting program writes it: a number in another shape was not written by it."""
    if INTEGER.fullmatch(text):
        if text == "-0":
            raise Wrong("a number is not written as it is written there")
        return text
    if "E" in text or "+" in text or float(text) in (float("inf"), float("-inf")):
        raise Wrong("a number is not written as it is written there")
    return text


def written(value, number):
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, Number):
        return number(value)
    if isinstance(value, str):
        return string(value)
    if isinstance(value, list):
        return "[" + ",".join(written(item, number) for item in value) + "]"
    keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    return "{" + ",".join(string(key) + ":" + written(value[key], number) for key in keys) + "}"


# --- The journal --------------------------------------------------------------------------------------


def of_parts(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return "sha256:" + digest.hexdigest()


def lines(path):
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                raise Wrong(f"line {number} of {os.path.basename(path)} does not end")
            yield line[:-1].decode("utf-8")


def references(value):
    """Every commitment to a payload that an entry carries, with its length."""
    if isinstance(value, dict):
        if set(value) == {"commitment", "bytes"}:
            yield value["commitment"], int(value["bytes"])
        else:
            for inner in value.values():
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


class Export:
    def __init__(self, folder, key_texts, partial, since):
        self.folder, self.partial, self.key_texts, self.since = folder, partial, key_texts, since
        self.keys = [key_of(text) for text in key_texts]
        # By number in the system chain: which key handed the log on to which. By place in the log: the number.
        self.rotations, self.handed_on, self.signers = {}, {}, []
        self.wrong, self.seen = [], {"key", "checkpoints", "log"}
        self.missing, self.declared, self.entries, self.payloads, self.left_out = [], set(), 0, 0, set()

    def path(self, name):
        return os.path.join(self.folder, *name.split("/"))

    def check(self, what, work):
        """Runs a check; what cannot be read is wrong."""
        try:
            return work()
        except (Wrong, ValueError, KeyError, TypeError, OSError, RecursionError) as error:
            self.wrong.append(f"{what}: {error}")
            return None

    def checkpoints(self):
        signed_roots, before = {}, 0
        for line in lines(self.path("checkpoints")):
            note = read(line)["note"]
            if '{"note":' + string(note) + "}" != line:
                raise Wrong("a checkpoint is not written as it is written there")
            size, root, after, signer = checkpoint_of(note, self.keys)
            if after != before or size <= before:
                raise Wrong(f"the checkpoint of {size} entries does not follow that of {before}")
            signed_roots[size], before = root, size
            self.signers.append((size, after, signer))
        return signed_roots

    def chain(self, name):
        """Hashes of a chain whose links hold, as far as they do."""
        hashes = []
        previous = of_parts(b"firewarden/chain/v1", name.encode())
        for line in lines(self.path(f"entries/{name}.jsonl")):
            entry = read(line)
            if written(entry, own_number) != line:
                raise Wrong(f"{name} entry {len(hashes) + 1} is not written as it is written there")
            own = entry.pop("hash")
            digest = of_parts(b"firewarden/entry/v1", written(entry, canonical_number).encode())
            place = f"{name} entry {len(hashes) + 1}"
            if entry["chain"] != name or entry["seq"] != str(len(hashes) + 1) or entry["prev"] != previous:
                raise Wrong(f"{place} does not follow the one before it")
            if own != digest:
                raise Wrong(f"{place} was changed")
            self.check(place, lambda: self.payloads_of(place, name, entry["body"]))
            hashes.append(own)
            previous = own
        self.entries += len(hashes)
        return hashes

    def payloads_of(self, place, chain, body):
        if chain == "system" and body["type"] == "PayloadsDeleted":
            self.declared.update(body["commitments"])
        if chain == "system" and body["type"] == "KeyRotated":
            self.rotations[int(place.rpartition(" ")[2])] = (body["before"], body["key"])
        for commitment, size in references(body):
            digits = commitment.removeprefix("sha256:")
            if not re.fullmatch("[0-9a-f]{64}", digits):
                raise Wrong("it commits to nothing that could be a payload")
            name = f"payload/{digits[:2]}/{digits[2:]}"
            if not os.path.exists(self.path(name)):
                self.missing.append((place, commitment))
                continue
            self.seen.add(name)
            with open(self.path(name), "rb") as file:
                data = file.read()
            if hashlib.sha256(data).hexdigest() != digits or len(data) - 16 != size:
                self.wrong.append(f"{place}: its payload {digits[:12]} is not what was committed to")
            else:
                self.payloads += 1

    def keys_held(self):
        """Each key took over where the one before said so, and signed from there on."""
        holder, positions = self.key_texts[0], sorted(self.handed_on)
        for count, position in enumerate(positions, 1):
            before, holder_now = self.rotations[self.handed_on[position]]
            if before != holder:
                raise Wrong(f"the log is handed on by {before}, which did not hold it")
            holder = holder_now
            if count < len(self.key_texts) and self.key_texts[count] != holder:
                raise Wrong(f"the log is handed on to {holder}, the key named for that is {self.key_texts[count]}")
        if len(self.key_texts) > len(positions) + 1:
            raise Wrong(f"the log was never handed on to {self.key_texts[len(positions) + 1]}")
        for size, after, signer in self.signers:
            if any(after < position < size for position in positions):
                raise Wrong(f"the checkpoint of {size} entries reaches beyond an entry that hands the log on")
            if signer != sum(position <= after for position in positions):
                raise Wrong(f"the checkpoint of {size} entries is signed by a key that did not hold the log then")

    def log(self, signed_roots, chains):
        tree, lengths, since = Tree(), {}, self.since
        for line in lines(self.path("log")):
            match = re.fullmatch("([^ ]+) ([1-9][0-9]*) (sha256:[0-9a-f]{64})", line)
            if not match:
                raise Wrong(f"line {tree.size + 1} is no chain, number and hash")
            name, seq, digest = match.group(1), int(match.group(2)), match.group(3)
            if seq != lengths.get(name, 0) + 1:
                raise Wrong(f"line {tree.size + 1} does not name the next entry of {name}")
            lengths[name] = seq
            if name not in chains:
                self.left_out.add(name)
            elif chains[name] is not None and (seq > len(chains[name]) or chains[name][seq - 1] != digest):
                self.wrong.append(f"log: {name} entry {seq} is missing or another one")
            tree.push(line.encode())
            if name == "system" and seq in self.rotations:
                self.handed_on[tree.size] = seq
            if since and tree.size == since[0]:
                if since[1] != tree.root():
                    raise Wrong(f"the log does not begin with the {tree.size} entries of the checkpoint that was kept")
                since = None
            if tree.size in signed_roots and signed_roots.pop(tree.size) != tree.root():
                raise Wrong(f"the first {tree.size} entries do not give the root that was signed")
        if since:
            raise Wrong(f"{since[0]} entries were there when the checkpoint was kept, the log has {tree.size}")
        if signed_roots:
            raise Wrong(f"{max(signed_roots)} entries were signed, the log has {tree.size}")
        for name, hashes in chains.items():
            if hashes is not None and len(hashes) != lengths.get(name, 0):
                self.wrong.append(f"log: {name} has {len(hashes)} entries, the log names {lengths.get(name, 0)}")
        if self.left_out and not self.partial:
            self.wrong.append(f"log: {len(self.left_out)} chains are missing whole")
        return tree.size

    def strays(self):
        for folder, _, names in os.walk(self.folder):
            for name in names:
                inside = os.path.relpath(os.path.join(folder, name), self.folder).replace(os.sep, "/")
                if inside not in self.seen:
                    self.wrong.append(f"{inside} belongs to nothing that was read")
        with open(self.path("key"), "rb") as file:
            if file.read() != "".join(text + "\n" for text in self.key_texts).encode():
                self.wrong.append("the file `key` names other keys")

    def verify(self):
        signed_roots = self.check("checkpoints", self.checkpoints) or {}
        covered = max(signed_roots, default=0)
        chains = {}
        folder = self.path("entries")
        for file in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            name = file.removesuffix(".jsonl")
            if file != name:
                self.seen.add(f"entries/{file}")
                chains[name] = self.check("chains", lambda: self.chain(name))
        size = self.check("tree", lambda: self.log(signed_roots, chains)) or 0
        self.check("signature", self.keys_held)
        if size != covered:
            self.wrong.append(f"tail: {size} entries, of which {covered} were signed")
        gone = [place for place, commitment in self.missing if commitment not in self.declared]
        self.wrong += [f"payloads: one of {place} is missing, and no entry says that it was deleted" for place in gone]
        self.check("files", self.strays)
        return size


def proven(checkpoint, since, keys):
    """Whether a checkpoint is signed and the log only grew since another one."""
    (size, root, _, _), answer = kept(checkpoint, keys)
    if since is None:
        return f"signed, {size} lines", []
    first, old = since[:2]
    if first > size:
        return "", [f"{first} entries were there before, now {size} are"]
    consistency = answer.get("consistency")
    if consistency is None and first != size:
        return "", ["the proof is missing"]
    try:
        path = [unbase64(text) for text in consistency["proof"]] if consistency else []
    except (Wrong, KeyError, TypeError, ValueError):
        return "", ["the proof cannot be read"]
    holds = len(path) <= 128 and is_consistent(first, size, path, old, root)
    return f"{size} lines, grown from {first}", [] if holds else ["the log does not begin with what was kept"]


def main(arguments):
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("--partial", action="store_true")
    parser.add_argument("--checkpoint")
    parser.add_argument("--from-checkpoint")
    parser.add_argument("named", nargs="+")
    options = parser.parse_args(arguments)
    folder, keys = (None, options.named) if options.checkpoint else (options.named[0], options.named[1:])
    if not keys or folder and not os.path.isdir(folder):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        opening = [key_of(text) for text in keys]
        since = options.from_checkpoint and kept(options.from_checkpoint, opening)[0]
        if options.checkpoint:
            told, wrong = proven(options.checkpoint, since, opening)
            print("\n".join(filter(None, [told, *wrong, "FAIL" if wrong else "PASS"])))
            return 1 if wrong else 0
        export = Export(folder, keys, options.partial, since)
    except (Wrong, OSError, UnicodeDecodeError) as error:
        print(error, file=sys.stderr)
        return 2
    size = export.verify()
    redacted = len(export.missing) - sum(1 for _, commitment in export.missing if commitment not in export.declared)
    print(
        f"{size} lines, {export.entries} entries, {export.payloads} payloads match, "
        f"{redacted} redacted, {len(export.left_out)} chains left out"
    )
    for wrong in export.wrong:
        print(f"  {wrong}")
    print("FAIL" if export.wrong else "PASS")
    return 1 if export.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
