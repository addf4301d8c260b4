#!/usr/bin/env python3
"""sass.py [--arch SM90] [--keep] FILE|DIR ...   finds NVIDIA machine code in NNN.bin / NNN.cache and counts it.
Standard library only (zstd: the libzstd.so.1 beside this file or the system's, through ctypes). See README."""
import collections, ctypes, glob, gzip, lzma, math, os, re, shutil, struct, subprocess, sys, tempfile, zlib

HERE = os.path.dirname(os.path.abspath(__file__))
ARCH = "SM90"
KEEP = False

# ---------------------------------------------------------------- tools
def find_nvdisasm():
    for p in [os.environ.get("NVDISASM"), shutil.which("nvdisasm"), *sorted(glob.glob("/usr/local/cuda*/bin/nvdisasm"), reverse=True), *glob.glob("/opt/**/nvdisasm", recursive=True)]:
        if p and os.path.exists(p): return p
    return None
NVDISASM = find_nvdisasm()
runs = 0
def nvdisasm(data, args):
    """-> (returncode, stdout, stderr); never raises"""
    global runs
    if not NVDISASM: return 127, "", "nvdisasm not found"
    runs += 1
    fd, path = tempfile.mkstemp(suffix=".raw")
    try:
        os.write(fd, data) if len(data) < 1 << 30 else None
        os.close(fd)
        r = subprocess.run([NVDISASM, *args, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        return r.returncode, r.stdout.decode("utf-8", "replace"), r.stderr.decode("utf-8", "replace")
    except Exception as e:
        return 126, "", repr(e)
    finally:
        try: os.unlink(path)
        except OSError: pass
def raw_dis(data): return nvdisasm(data, ["--binary", ARCH])

_z = None
def zstd_lib():
    global _z
    if _z is None:
        _z = False
        for p in ["libzstd.so.1", os.path.join(HERE, "libzstd.so.1"), "libzstd.so"]:
            try:
                l = ctypes.CDLL(p)
                l.ZSTD_decompress.restype = ctypes.c_size_t; l.ZSTD_decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
                l.ZSTD_isError.restype = ctypes.c_uint; l.ZSTD_isError.argtypes = [ctypes.c_size_t]
                l.ZSTD_findFrameCompressedSize.restype = ctypes.c_size_t; l.ZSTD_findFrameCompressedSize.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
                l.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong; l.ZSTD_getFrameContentSize.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
                _z = l; break
            except (OSError, AttributeError): pass
    return _z
def unzstd(src, say):
    """-> (bytes or None, compressed length)"""
    l = zstd_lib()
    if l:
        n = l.ZSTD_findFrameCompressedSize(src, len(src))
        if l.ZSTD_isError(n): return None, 0
        want = l.ZSTD_getFrameContentSize(src, n)
        caps = [want] if want < 1 << 30 else [len(src) * 16 + 65536, len(src) * 256 + (1 << 20)]
        for cap in caps:
            buf = ctypes.create_string_buffer(max(1, cap))
            r = l.ZSTD_decompress(buf, cap, src, n)
            if not l.ZSTD_isError(r): return buf.raw[:r], n
        return None, 0
    for name in ("compression.zstd", "zstandard"):
        try:
            m = __import__(name, fromlist=["x"])
            d = m.ZstdDecompressor() if name != "zstandard" else m.ZstdDecompressor().decompressobj()
            out = d.decompress(src); return out, len(src) - len(d.unused_data)
        except ImportError: pass
        except Exception: return None, 0
    if shutil.which("zstd"):
        r = subprocess.run(["zstd", "-dcq"], input=src, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if r.stdout: return r.stdout, len(src)
        return None, 0
    say("zstd frame here, but no libzstd, zstandard, compression.zstd or zstd program")
    return None, 0

def entropy(b):
    if not b: return 0.0
    c = collections.Counter(b); n = len(b)
    return -sum(v / n * math.log2(v / n) for v in c.values())
def finds(data, pat):
    i = data.find(pat)
    while i >= 0:
        yield i; i = data.find(pat, i + 1)
def unrle(src):
    """the old drivers' run-length packing"""
    out = bytearray(); i = 0
    while i < len(src):
        b = src[i]; n = b & 63; t = b >> 6; i += 1
        if not n: break
        if t == 0: out += src[i:i + n]; i += n
        elif t == 1:
            if i >= len(src): break
            out += bytes([src[i]]) * n; i += 1
        else: out += (b"\xff" if t == 2 else b"\0") * n
    return bytes(out)

# ---------------------------------------------------------------- containers
class Work:
    def __init__(self, say): self.say = say; self.codes = []; self.blobs = []; self.seen = set()
def elf_size(d):
    if len(d) < 64 or d[4] != 2: return None
    phoff, shoff = struct.unpack_from("<QQ", d, 0x20); phes, phn, shes, shn = struct.unpack_from("<HHHH", d, 0x36)
    end = max(64, shoff + shes * shn, phoff + phes * phn)
    if end > len(d): return None
    for k in range(shn):
        ty, = struct.unpack_from("<I", d, shoff + k * shes + 4); off, size = struct.unpack_from("<QQ", d, shoff + k * shes + 0x18)
        if ty != 8: end = max(end, off + size)
    return end if end <= len(d) else None
def dig(w, data, label, depth=0):
    """looks for known containers and packings in data; code goes to w.codes, unpacked data to w.blobs"""
    key = hash(data)
    if depth > 5 or key in w.seen or len(data) < 16: return
    w.seen.add(key); w.blobs.append((label, data))
    for step in (dig_code, dig_packed):
        try: step(w, data, label, depth)
        except Exception as e: w.say(f"{label}: {step.__name__} failed: {e!r}")
def dig_code(w, data, label, depth):
    for i in finds(data, b"\x7fELF"):
        n = elf_size(data[i:])
        w.say(f"{label}+0x{i:x}: ELF" + (f", {n} bytes, machine {struct.unpack_from('<H', data, i + 18)[0]} (CUDA is 190)" if n else ", size unclear"))
        w.codes.append(("elf", f"{label}+0x{i:x} ELF", data[i:i + n] if n else data[i:]))
    for i in finds(data, b"NVuc"):
        try:
            ns = struct.unpack_from("<H", data, i + 8)[0]; got = []
            if not ns or i + 32 + 32 * ns > len(data): raise ValueError(f"{ns} sections")
            for k in range(ns):
                ty, size, off = struct.unpack_from("<III", data, i + 32 + 32 * k)
                got.append((ty & 0xffff, size, off))
                if i + off + size > len(data): raise ValueError("sections reach past the end (packed, or cut off)")
            w.say(f"{label}+0x{i:x}: NVuc, sections (type:offset,size) " + " ".join(f"{t:x}:0x{o:x},{s}" for t, s, o in got))
            code = 0
            for t, s, o in got:
                if t == 1 and s >= 16 and i + o + s <= len(data):
                    w.codes.append(("raw", f"{label}+0x{i:x} NVuc code section", data[i + o:i + o + s])); code = 1
            if not code: w.codes.append(("nvuc", f"{label}+0x{i:x} NVuc", data[i:]))
        except (struct.error, ValueError) as e: w.say(f"{label}+0x{i:x}: NVuc, but not readable: {e}")
def dig_packed(w, data, label, depth):
    for magic in (b"CPKV", b"CDVN", b"NVDA", b"NVVM", b"CPKC"):
        for k, i in enumerate(finds(data, magic)):
            if k < 6: w.say(f"{label}+0x{i:x}: {magic.decode()}: " + data[i:i + 64].hex(" ", 4))
            if magic == b"CPKV" and data[i + 0x2c:i + 0x2d] == b"\x5d":
                try:
                    usize, = struct.unpack_from("<I", data, i + 0x28); s = data[i + 0x2c:]
                    out = lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(s[:5] + struct.pack("<q", usize) + s[5:])
                    w.say(f"{label}+0x{i:x}: LZMA in CPKV -> {len(out)} bytes"); dig(w, out, f"{label}+0x{i:x}.lzma", depth + 1)
                except Exception as e: w.say(f"{label}+0x{i:x}: CPKV looks like LZMA but {e}")
    skip = 0
    for i in finds(data, b"\x28\xb5\x2f\xfd"):
        if i < skip: continue
        out, n = unzstd(data[i:], w.say)
        w.say(f"{label}+0x{i:x}: zstd magic" + (f", {n} -> {len(out)} bytes, begins {out[:16].hex(' ', 4)}" if out is not None else ", does not unpack"))
        if out is not None: skip = i + n; dig(w, out, f"{label}+0x{i:x}.zstd", depth + 1)
    for i in finds(data, b"\x04\x22\x4d\x18"): w.say(f"{label}+0x{i:x}: LZ4 frame magic (not unpacked)")
    for i in finds(data, b"\xfd7zXZ\0"):
        try: out = lzma.LZMADecompressor().decompress(data[i:]); w.say(f"{label}+0x{i:x}: xz -> {len(out)}"); dig(w, out, f"{label}+0x{i:x}.xz", depth + 1)
        except Exception: pass
    for m, wb in ((b"\x78\x01", 15), (b"\x78\x5e", 15), (b"\x78\x9c", 15), (b"\x78\xda", 15), (b"\x1f\x8b\x08", 31)):
        for i in finds(data, m):
            try: out = zlib.decompressobj(wb).decompress(data[i:], 1 << 28)
            except zlib.error: continue
            if len(out) >= 64: w.say(f"{label}+0x{i:x}: zlib/gzip -> {len(out)} bytes"); dig(w, out, f"{label}+0x{i:x}.z", depth + 1)
    for m in re.finditer(rb"\x5d\x00\x00[\x00-\xff][\x00-\x04]", data, re.S):
        i = m.start()
        try: out = lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(data[i:], 1 << 26)
        except Exception: continue
        if len(out) >= 64: w.say(f"{label}+0x{i:x}: LZMA -> {len(out)} bytes"); dig(w, out, f"{label}+0x{i:x}.lzma", depth + 1)
    for i in finds(data, b"\x05NVuc"):
        out = unrle(data[i:])
        if len(out) > 64 and out[:4] == b"NVuc": w.say(f"{label}+0x{i:x}: run-length packed NVuc -> {len(out)} bytes"); dig(w, out, f"{label}+0x{i:x}.rle", depth + 1)

# ---------------------------------------------------------------- raw scan
EXIT = re.compile(rb"\x4d[\x00-\xff]\x00\x00\x00\x00\x00\x00\x00\x00[\x00-\xff][\x00-\xff][\x00-\xff][\x00-\xff][\x00-\xff][\x00-\x3f]", re.S)
def prefix(data):
    """the longest prefix of data (multiple of 16) that disassembles -> (length, listing)"""
    n = len(data) & ~15
    if n < 16: return 0, ""
    rc, out, err = raw_dis(data[:n])
    if rc == 0 and instrs(out): return n, out
    if rc in (126, 127): return 0, ""
    m = re.search(r"address\s*:?\s*(?:0x)?([0-9a-fA-F]+)", err + out)
    if m:
        a = int(m.group(1), 16) & ~15
        if a == 0: return 0, ""
        if a < n:
            rc, out, err = raw_dis(data[:a])
            if rc == 0 and instrs(out): return a, out
    lo, hi, best = 0, n // 16, ""
    while lo + 1 < hi:
        mid = (lo + hi) // 2
        rc, out, err = raw_dis(data[:mid * 16])
        if rc == 0 and instrs(out): lo, best = mid, out
        else: hi = mid
    return lo * 16, best
def plausible(c):
    """cheap test of one 16-byte instruction (sm_70+: opcode in bits 0-11, scheduling in 105-125, the top two bits 0)"""
    return c[15] < 0x40 and (c[0] or c[1] & 15) and c != b"\0" * 16
def scan(w, label, data, budget=150):
    """-> best (instructions, offset, length, listing, sensible)"""
    ex = [m.start() for m in EXIT.finditer(data)]
    phases = collections.Counter(i % 16 for i in ex).most_common()
    w.say(f"{label}: {len(data)} bytes, entropy {entropy(data):.2f} bits/byte, EXIT-like patterns: {len(ex)}" + (", phases " + " ".join(f"{p}:{c}" for p, c in phases[:6]) if ex else ""))
    best = None; start = runs
    for ph, _ in phases[:4]:
        mine = [i for i in ex if i % 16 == ph]; done = -1
        for e in mine:
            if e < done: continue
            lo = e
            while lo - 16 >= ph and lo - 16 >= 0 and plausible(data[lo - 16:lo]): lo -= 16
            hi = e + 16
            while hi + 16 <= len(data) and plausible(data[hi:hi + 16]): hi += 16
            done = hi
            s = max(lo, 0)
            while s < hi and runs - start < budget:
                n, out = prefix(data[s:hi])
                if n:
                    ins = instrs(out); ops = {o.split(".")[0] for _, _, o, _ in ins}
                    sens = "EXIT" in ops and bool(ops & {"FFMA", "HFMA2", "FADD", "FMUL", "IMAD"}) and bool(ops & {"LDG", "STG", "LDS", "LD"})
                    cand = (sens, len(ins), s, n, out)
                    if best is None or cand[:2] > best[:2]: best = cand
                s += max(n, 0) + 16
            if runs - start >= budget: w.say(f"{label}: stopped after {budget} runs of nvdisasm"); return best
    return best

# ---------------------------------------------------------------- listing
INS = re.compile(r"/\*([0-9a-fA-F]{4,8})\*/\s+\{?\s*(@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*(?:\.[A-Za-z0-9_.]+)?)\s*([^;]*);?")
LAB = re.compile(r"^\s*(\.L_[\w.$]+|[\w.$]+):\s*$")
def parse(text):
    out, labels, pend = [], {}, []
    for line in text.splitlines():
        m = LAB.match(line)
        if m: pend.append(m.group(1)); continue
        m = INS.search(line)
        if m:
            a = int(m.group(1), 16)
            for l in pend: labels[l] = a
            pend = []
            out.append((a, (m.group(2) or "").strip(), m.group(3), m.group(4).strip()))
    return out, labels
def instrs(text): return parse(text)[0]
WIDTHS = ("128", "64", "U16", "S16", "16", "U8", "S8", "8")
CLASSES = ["FFMA", "FMUL", "FADD", "HFMA2", "HADD2", "HMUL2", "F2F", "SEL/FSEL", "SHFL", "LDG", "STG", "LDS", "STS", "LDL", "STL", "IMAD", "LOP3", "PRMT", "MUFU", "BRA", "BAR", "VOTE", "MOV"]
def classify(op):
    p = op.split("."); b = p[0]; mods = p[1:]
    def width(): return next((x for x in WIDTHS if x in mods), "32")
    if b in ("SEL", "FSEL", "USEL"): return "SEL/FSEL", None
    if b in ("LDG", "STG", "LDS", "STS", "LDL", "STL", "LD", "ST", "LDC", "ULDC", "LDCU"): return b, width()
    if b == "MUFU": return b, mods[0] if mods else None
    if b == "IMAD": return b, "MOV" if "MOV" in mods else mods[0] if mods else None
    if b in ("F2F", "F2FP", "HADD2", "HFMA2", "HMUL2", "I2F", "F2I", "SHFL", "BAR", "VOTE"): return b, ".".join(mods) or None
    return b, None
def counts(ins):
    c = collections.Counter(); sub = collections.defaultdict(collections.Counter)
    for _, _, op, _ in ins:
        k, s = classify(op); c[k] += 1
        if s: sub[k][s] += 1
    return c, sub
def show(c, sub):
    f = lambda k: f"{k} {c[k]}" + (" (" + " ".join(f"{s}:{n}" for s, n in sub[k].most_common()) + ")" if k in sub else "")
    return "  " + ", ".join(f(k) for k in CLASSES) + "\n  other: " + ", ".join(f(k) for k, _ in c.most_common() if k not in CLASSES)
def schedule(code, a):
    """of the 16-byte instruction at a (sm_70+): clocks after which the next one may start, and the barriers that it waits for: of loads, shuffles, special functions"""
    w = int.from_bytes(code[a:a + 16], "little"); return w >> 105 & 15, w >> 116 & 63
def scheduled(ins, code):
    """whether code is that of ins, its first byte at address 0"""
    return bool(ins) and ins[0][0] < 16 and ins[-1][0] + 16 <= len(code)
def annotate(text, code):
    """the listing with what schedule() says behind each instruction: clocks, and the barriers as a mask"""
    if not scheduled(instrs(text), code): return text
    def add(line):
        m = INS.search(line)
        if not m: return line
        clocks, waits = schedule(code, int(m.group(1), 16)); return f"{line}  // {clocks}" + (f" w{waits:02x}" if waits else "")
    return "\n".join(map(add, text.splitlines()))
def analyse(text, code=b""):
    ins, labels = parse(text); c, sub = counts(ins); o = []
    real = sum(v for k, v in c.items() if k != "NOP")
    regs = [int(r) for _, _, _, a in ins for r in re.findall(r"\bR(\d+)\b", a)]
    o.append(f"{real} instructions (+{c['NOP']} NOP), highest register named R{max(regs, default=-1)}, spills LDL {c['LDL']} STL {c['STL']}")
    o.append(show(c, sub))
    loops, timed = [], scheduled(ins, code)
    for a, g, op, arg in ins:
        if op.split(".")[0] == "BRA":
            m = re.search(r"`\(([^)]+)\)", arg); t = labels.get(m.group(1)) if m else None
            if t is None:
                h = re.findall(r"0x([0-9a-fA-F]+)", arg); t = int(h[-1], 16) if h else None
            if t is not None and t < a: loops.append((t, a, g))
    for t, a, g in sorted(loops):
        body = [i for i in ins if t <= i[0] <= a]; inner = [l for l in loops if t <= l[0] and l[1] <= a and l[:2] != (t, a)]
        o.append(f"loop 0x{t:x}..0x{a:x} {g}: {len(body)} instructions" + (f", holds {len(inner)} inner loops" if inner else ""))
        o.append(show(*counts(body)))
        if timed:
            clocks = [schedule(code, i[0]) for i in body]
            o.append(f"  a warp alone takes {sum(k for k, _ in clocks)} clocks at least, all branches taken; {sum(w > 0 for _, w in clocks)} instructions wait for a load, a shuffle or a special function")
    return "\n".join(o), c, sub, loops

# ---------------------------------------------------------------- one file
def slurp(p):
    with open(p, 'rb') as f: return f.read()
def spit(p, b):
    with open(p, 'wb') as f: f.write(b)
written = set()
def process(path):
    print(f"== {path} ({os.path.getsize(path)} bytes)")
    say = lambda s: print("  " + s)
    data = slurp(path); base = re.sub(r"\.(bin|cache)$", "", path); w = Work(say)
    dig(w, data, "file")
    found = []
    for kind, label, code in w.codes:
        if kind == "elf":
            rc, out, err = nvdisasm(code, [])
            if rc or not instrs(out):
                rc2, out2, err2 = nvdisasm(code, ["-c"])
                if not rc2 and instrs(out2): rc, out = rc2, out2
        elif kind == "nvuc": rc, out, err = nvdisasm(code, ["--binary", ARCH])
        else:
            rc, out, err = raw_dis(code[:len(code) & ~15])
            if rc and rc not in (126, 127):
                n, out = prefix(code)
                if n: say(f"{label}: only the first {n} of {len(code)} bytes disassemble: {err.strip()[:200]}"); rc = 0
        if rc == 0 and instrs(out): found.append((label, code, out))
        else:
            say(f"{label}: nvdisasm gave {rc}: {err.strip()[:300]}")
            keep = f"{base}.code{len(found)}.raw"; spit(keep, code); say(f"written to {keep}")
    if not found:
        for label, blob in w.blobs:
            b = scan(w, label, blob)
            if b: 
                sens, n, s, ln, out = b
                say(f"{label}+0x{s:x}: {n} instructions in {ln} bytes" + ("" if sens else ", NOT convincing"))
                found.append((f"{label}+0x{s:x} scanned" + ("" if sens else " (not convincing)"), blob[s:s + ln], out))
    if KEEP or not found:
        for k, (label, blob) in enumerate(w.blobs[1:]):
            p = f"{base}.blob{k}.raw"; spit(p, blob); say(f"{label} written to {p}")
    if not found:
        say("no code found. First 128 bytes: "); say("  " + data[:128].hex(" ", 4)); say(f"entropy {entropy(data):.2f} bits/byte; strings: " + " ".join(sorted({m.group().decode() for m in re.finditer(rb"[\x20-\x7e]{6,}", data)}, key=len, reverse=True)[:12]))
        return
    name = base + ".sass"
    if name in written: name = path + ".sass"; base = path
    written.add(name)
    with open(name, "w") as f:
        for k, (label, code, out) in enumerate(found):
            a, c, sub, loops = analyse(out, code)
            spit(f"{base}.code{k}.raw", code)
            print(f"-- {os.path.basename(name)} [{k}] {label}, {len(code)} bytes of code"); print(a)
            f.write(f"// {label}, {len(code)} bytes\n" + "".join("// " + l + "\n" for l in a.splitlines()) + annotate(out, code) + "\n")
            tsv = os.path.join(os.path.dirname(path) or ".", "sass.tsv")
            new = tsv not in written; written.add(tsv)
            with open(tsv, "w" if new else "a") as t:
                if new: t.write("file\tbytes\tinstr\t" + "\t".join(CLASSES) + "\tLDG.128\tLDG.64\tLDG.32\tLDG.small\tloops\n")
                l = sub["LDG"]
                t.write(f"{os.path.basename(path)}[{k}]\t{len(code)}\t{sum(c.values()) - c['NOP']}\t" + "\t".join(str(c[x]) for x in CLASSES) + f"\t{l['128']}\t{l['64']}\t{l['32']}\t{sum(v for x, v in l.items() if x not in ('128', '64', '32'))}\t{len(loops)}\n")
def main():
    global ARCH, KEEP
    a = sys.argv[1:]; files = []
    while a:
        x = a.pop(0)
        if x == "--arch": ARCH = a.pop(0)
        elif x == "--keep": KEEP = True
        elif os.path.isdir(x): files += sorted(glob.glob(os.path.join(x, "*.bin"))) + sorted(glob.glob(os.path.join(x, "*.cache")))
        else: files.append(x)
    if not files: print(__doc__); return
    print(f"nvdisasm: {NVDISASM}; zstd: {'libzstd' if zstd_lib() else 'no libzstd'}")
    for f in files:
        try: process(f)
        except Exception as e:
            import traceback; print(f"  {f}: failed: {e!r}"); traceback.print_exc(file=sys.stdout)
main()
