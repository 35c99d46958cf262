"""Tables, as text, HTML, Markdown and LaTeX."""

from __future__ import annotations

import os
from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Returns rows of text in columns, two spaces between them."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows)


def html_table(rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """Returns an HTML table whose first row is its head."""
    import html

    line = lambda row, tag: "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>"  # noqa: E731
    head = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    body = "".join(line(row, "td") for row in rows[1:])
    return f"<table>{head}<thead>{line(rows[0], 'th')}</thead><tbody>{body}</tbody></table>"


def percent(fraction: float) -> str:
    """Returns a fraction as a percentage."""
    return f"{100 * fraction:.2f} %"


def number(x: float, *, lower: bool = False) -> str:
    """Returns an upper bound with six digits, rounded up, or a lower one, rounded down: what is printed is a bound, too."""
    import decimal

    short = f"{x:.6g}"
    if float(short) == x:
        return short
    exact = decimal.Context(prec=6, rounding=decimal.ROUND_FLOOR if lower else decimal.ROUND_CEILING)
    # Six digits are what they were after a format that has sixteen.
    return f"{float(exact.create_decimal_from_float(x)):.6g}"


def write(path, data: bytes) -> None:
    """Writes a file, whole or not at all."""
    # Half of what importing this package took.
    import tempfile

    path = os.path.realpath(os.fspath(path))
    handle, beside = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".dahlquist-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(beside, os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o666 & ~mask)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def progress(what: str, total: int):
    """Returns a function that shows how much is done, if tqdm is there and somebody looks; else none."""
    import sys

    if total < 1000 or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        return None, lambda: None
    try:
        from tqdm import tqdm
    except ImportError:
        return None, lambda: None
    # What ends soon needs no bar.
    bar = tqdm(total=total, desc=what, leave=False, delay=2)

    def tell(done: int) -> None:
        bar.update(min(done, total) - bar.n)

    return tell, bar.close
