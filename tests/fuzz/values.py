"""Values and near-values of the wire types, and bytes that are no value at all."""

import json
import string
from typing import Any, Final

import msgspec.inspect as types
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from contenthubd.control import wire

TIMES: Final = (
    "2026-03-01T12:00:00Z", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:60Z", "2026-02-30T00:00:00Z", "2026-03-01T12:00:00", "2026-03-01", "1970-01-01T00:00:00Z",
    "8999-12-31T23:59:59.999999999Z", "2026-03-01T12:00:00+99:99", "1e9", "-1", "now",
)  # fmt: skip
NUMBERS: Final = (
    0, -1, 1, 5, 20, 25, 26, 1000, 1001, 2**31, 2**32, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**400,
    0.5, -0.0, 1e308, 5e-324, float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
TEXTS: Final = (
    "", " ", "\t", "a", "demo", "last", "null", "true", "\0", "a\0b", "\ud800", "\udfff\ud800", "\u202eabc",
    "\u200b",
    "\ufeff", "\x1b[2J", "\x85", "\u2028", "字" * 70, "👨‍👩‍👧", "é" * 201, "x" * 501, "x" * 20_001, "%s%n%x",
    "'; DROP TABLE task; --",
    "../../etc/passwd", "{date}", "{day}", "*/5 * * * *", "0 0 30 2 *", "Europe/Berlin", "Mars/Base", "../UTC",
    "\\", '"',
    "0-", "99999999999999999999", "9" * 18 + "-creator", "١٢٣", "1_000", "0x10", "abcd", "ffffffff", "-" * 36,
)  # fmt: skip
DEEP: Final = ("[" * 200_000, '{"a":' * 50_000, "[" * 500 + "]" * 500)

texts = st.sampled_from(TEXTS) | st.text(max_size=40) | st.text(st.characters(max_codepoint=0x7F), max_size=12)
scalars = (
    st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.integers() | st.floats() | st.sampled_from(TIMES) | texts
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)


def valid(kind: types.Type, known: tuple[str, ...]) -> SearchStrategy[Any]:
    """Values that a wire type takes, as far as the type says so; ``known`` are names and ids that exist."""
    match kind:
        case types.StructType():
            fields = {one.encode_name: valid(one.type, known) for one in kind.fields}
            needed = {one.encode_name for one in kind.fields if one.required}
            return st.fixed_dictionaries(
                {name: fields[name] for name in fields if name in needed},
                optional={name: fields[name] for name in fields if name not in needed},
            )
        case types.UnionType():
            return st.one_of([valid(one, known) for one in kind.types])
        case types.NoneType():
            return st.none()
        case types.BoolType():
            return st.booleans()
        case types.IntType() | types.FloatType():
            return st.integers(int(kind.ge or 0), int(min(kind.le or 20, 20)))
        case types.LiteralType():
            return st.sampled_from(kind.values)
        case types.DateTimeType():
            return st.sampled_from(TIMES)
        case types.ListType() | types.VarTupleType():
            return st.lists(valid(kind.item_type, known), min_size=kind.min_length or 0, max_size=3)
        case types.StrType():
            return st.sampled_from(known) | st.text(string.ascii_lowercase, min_size=1, max_size=12)
    raise TypeError(f"no values for {kind}: name them here")


@st.composite
def near(draw: st.DrawFn, values: SearchStrategy[Any]) -> Any:
    """A value with one change: something else in the place of a part, a part left out, or one too many."""
    value = draw(values)
    if not isinstance(value, dict) or not value:
        return draw(anything)
    name = draw(st.sampled_from(sorted(value)))
    inner = value[name]
    match draw(st.sampled_from(("other", "gone", "more", "inside"))):
        case "gone":
            return {key: part for key, part in value.items() if key != name}
        case "more":
            return {**value, draw(texts): draw(anything)}
        case "inside" if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            return {**value, name: [draw(near(st.just(inner[0]))), *inner[1:]]}
        case _:
            return {**value, name: draw(anything)}


@st.composite
def written(draw: st.DrawFn, values: SearchStrategy[Any]) -> bytes:
    """JSON of a value: plain or escaped, with keys that occur twice, cut, or with something behind it."""
    value = draw(values)
    text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from((None, 1))))
    match draw(st.sampled_from(("plain",) * 6 + ("twice", "cut", "more", "utf-16", "bom"))):
        case "twice" if isinstance(value, dict) and value:
            name = draw(st.sampled_from(sorted(value)))
            text = "{" + f"{json.dumps(name)}: {json.dumps(draw(anything))}, " + text.lstrip()[1:]
        case "cut":
            text = text[: draw(st.integers(0, len(text)))]
        case "more":
            text += draw(st.sampled_from((" ", "\n{}", "]", "\0", "//")))
        case "utf-16":
            return text.encode("utf-16", "surrogatepass")
        case "bom":
            text = "\ufeff" + text
    return text.encode("utf-8", draw(st.sampled_from(("surrogatepass", "replace"))))


def bodies(kind: type[wire.Refusing] | None, known: tuple[str, ...]) -> SearchStrategy[bytes]:
    """Bodies for a route that reads this type, or none at all."""
    garbage = st.binary(max_size=60) | st.sampled_from(DEEP).map(str.encode) | written(anything)
    if kind is None:
        return st.just(b"") | garbage
    good = valid(types.type_info(kind), known)
    return written(good) | written(near(good)) | written(near(good)) | garbage
