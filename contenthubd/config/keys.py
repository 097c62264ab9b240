"""The list of all keys, read off the model: names, types in words, defaults, environment variables.

Everything that speaks about keys (checking, suggestions, ``config show``, the tests of the docs) goes through this
list, so a key added to the model is known everywhere, and its missing documentation is noticed.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import inspect, structs

from contenthubd import faultpoints
from contenthubd.config.model import Config

ENV_PREFIX = "CONTENTHUBD_"
CONFIG_VARIABLE = "CONTENTHUBD_CONFIG"  # names the file itself, so it belongs to no key
FAULT_POINT_VARIABLE = faultpoints.VARIABLE  # tests end the daemon with it; no setting of anybody's installation

# Other names under which a key may come from the environment: two short ones of our own, and the names that existing
# deployments already have in their environment files.
ALIASES: Mapping[str, str] = {
    "CONTENTHUBD_STATE_DIR": "daemon.state_dir",
    "CONTENTHUBD_SOCKET": "daemon.socket",
    "ASYNC_ENABLED": "tasks.mode",
    "CREATOR_MODE": "tasks.mode",
    "ASYNC_MAX_CONCURRENT_TASKS": "tasks.max_concurrent",
    "ASYNC_TASK_TIMEOUT": "tasks.timeout_seconds",
    "ASYNC_POLL_INTERVAL": "tasks.poll_interval_seconds",
    "ASYNC_AUTO_APPROVE": "review.auto_approve",
    "ASYNC_AUTO_ADD_TO_POOL": "publish.auto_add_to_pool",
    "TASK_QUEUE_TYPE": "queue.type",
    "REDIS_URL": "queue.redis_url",
    "REDIS_ENABLED": "queue.redis_enabled",
    "CREATOR_CLI_PATH": "creator.command",
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the configuration; ``expected`` completes the sentence "must be …"."""

    section: str
    name: str
    annotation: Any
    shape: inspect.Type
    check: str
    expected: str
    default: object
    aliases: tuple[str, ...]

    @property
    def path(self) -> str:
        """The key as people write it: ``tasks.max_concurrent``."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable that sets this key."""
        return f"{ENV_PREFIX}{self.section}__{self.name}".upper()


def schema() -> tuple[Key, ...]:
    """Every key, in the order of the model."""
    return tuple(
        _key(section.name, field) for section in structs.fields(Config) for field in structs.fields(section.type)
    )


def suggest(word: str, known: Iterable[str]) -> str:
    """`` Did you mean …?`` when one of ``known`` is close to ``word``, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""


def unwrap(shape: inspect.Type) -> tuple[inspect.Type, dict[str, Any], str]:
    """The bare type, what ``extra`` says, and the description in words, if any."""
    if isinstance(shape, inspect.Metadata):
        return shape.type, shape.extra or {}, str((shape.extra_json_schema or {}).get("description", ""))
    return shape, {}, ""


def in_words(shape: inspect.Type) -> str:
    """What a value of this type looks like, for a person."""
    bare, extra, description = unwrap(shape)
    if description:
        return description
    match bare:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number from {bare.ge} to {bare.le}"
        case inspect.FloatType():
            return f"a number{' of ' + extra['unit'] if 'unit' in extra else ''} from {bare.ge:g} to {bare.le:g}"
        case inspect.LiteralType() | inspect.EnumType():
            return _either(choices(bare))
        case inspect.VarTupleType():
            return _list_in_words(bare)
        case _:
            return "a string"


def choices(shape: inspect.Type) -> tuple[str, ...]:
    """The valid values of a key that has a fixed set of them, else nothing."""
    match shape:
        case inspect.LiteralType():
            return tuple(str(value) for value in shape.values)
        case inspect.EnumType():
            return tuple(str(member.value) for member in shape.cls)
        case _:
            return ()


def _either(words: tuple[str, ...]) -> str:
    quoted = [f'"{word}"' for word in words]
    return " or ".join(part for part in (", ".join(quoted[:-1]), quoted[-1]) if part)


def _list_in_words(shape: inspect.VarTupleType) -> str:
    item, extra, _ = unwrap(shape.item_type)
    start = "a list of one or more" if shape.min_length else "a list (it may be empty) of"
    if isinstance(item, inspect.FloatType):
        return f"{start} numbers of {extra['unit']}, each from {item.ge:g} to {item.le:g}"
    return f"{start} strings"


def _key(section: str, field: structs.FieldInfo) -> Key:
    shape = inspect.type_info(field.type)
    path = f"{section}.{field.name}"
    return Key(
        section=section,
        name=field.name,
        annotation=field.type,
        shape=unwrap(shape)[0],
        check=unwrap(shape)[1].get("check", ""),
        expected=in_words(shape),
        default=field.default,
        aliases=tuple(alias for alias, target in ALIASES.items() if target == path),
    )


KEYS: Mapping[str, Key] = {key.path: key for key in schema()}
SECTIONS: tuple[str, ...] = tuple(dict.fromkeys(key.section for key in KEYS.values()))
VARIABLES: Mapping[str, str] = {key.variable: key.path for key in KEYS.values()}
