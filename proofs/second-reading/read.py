"""Reads a certificate a second time: `python3 read.py CERTIFICATE MODEL [SAMPLES]`.

Exit status: 0, every claim is proved; 1, one is refused; 2, a file cannot be read; 3, none is refused, and some are not checked.
"""

import struct
import sys
from fractions import Fraction as Q

from claims import PROVED, REFUSED, UNREAD, Reading, numbers
from exact import Refused, Unread, parse
from network import Model
from points import check_samples

KEYS = {"format", "version", "program", "kernels", "model", "scalar", "norm_proof", "summation", "input", "lipschitz",
        "features", "network", "samples"}


def features(root, count):
    """The product of the constants of the first `count` layers: of the parts of a run that goes on behind them."""
    product = Q(1)
    for premise in root["premises"]:
        span = premise.get("span", 1)
        if span <= count:
            product *= numbers(premise)["bound"]
        elif span > 1:
            product *= features(premise, count)
        count -= min(span, count)
    return product


def read(certificate, model, samples=None):
    """The verdicts, each with the place and the claim."""
    tree, reading = parse(certificate), Reading(model)
    if (tree["format"], tree["version"]) != ("dahlquist-certificate", 2) or set(tree) - KEYS:
        raise Unread("another format than dahlquist-certificate, version 2")
    header = [(tree["model"] == model.sha256, "the model is another one"),
              (tree["scalar"] == ("f32" if model.single else "f64"), "the format of the model is another one"),
              (tuple(tree["input"]) == model.input, "the shape of the input is another one")]
    reading.guard(tree["network"], lambda p: reading.map(p, model.layers, "", model.input))
    kind = model.layers[-1].get("type") if isinstance(model.layers[-1], dict) else None
    count = len(model.layers) - (kind in ("dense", "conv2d", "avg_pool", "global_avg_pool"))
    header += [(Q(tree["lipschitz"]) >= numbers(tree["network"])["bound"], f"lipschitz {tree['lipschitz']} is less than proved"),
               (Q(tree["features"]) >= features(tree["network"], count), f"features {tree['features']} is less than proved")]
    for holds, what in header:
        if not holds:
            reading.say(REFUSED, "the file", what)
    if "samples" in tree and samples is not None:
        check_samples(reading, tree, samples)
    elif "samples" in tree:
        reading.say(UNREAD, "samples", "their file is not given")
    return reading.verdicts


def status(verdicts):
    found = {verdict for verdict, *_ in verdicts}
    return 1 if REFUSED in found else 3 if UNREAD in found else 0


def main(paths):
    try:
        files = [open(path, "rb").read() for path in paths]
        verdicts = read(files[0].decode(), Model(files[1]), *files[2:])
    except Refused as error:
        verdicts = [(REFUSED, "the file", str(error))]
    except Unread as error:
        verdicts = [(UNREAD, "the file", str(error))]
    except (OSError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, struct.error) as error:
        print(f"cannot be read: {type(error).__name__} {error}", file=sys.stderr)
        return 2
    for verdict, place, what in verdicts:
        print(f"{verdict}: {place}: {what}")
    count = sum(verdict == PROVED for verdict, *_ in verdicts)
    print(f"{count} of {len(verdicts)} claims are proved")
    return status(verdicts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
