"""From YAML and ``section.key=value`` words to frozen dataclasses, strictly: the dataclass is the schema.

Nothing here knows which settings there are: :mod:`resdet.config` does.
"""

from __future__ import annotations

import copy
import difflib
import math
import typing
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from resdet.errors import UsageError

C = TypeVar("C")
LARGEST_FILE = 2**18  # bytes: a hundred times the longest of ours; PyYAML reads some 50 kB a second


def load_config(kind: type[C], file: Path | None, overrides: Sequence[str] = ()) -> C:
    """Read a config of ``kind`` from a YAML file and ``section.key=value`` words, the words last.

    Raises:
        UsageError: the file is missing or not YAML, or sets something twice; an unknown setting, with the nearest
            known one; a value of the wrong type or out of its range, see :func:`override`; a word without ``=``.
    """
    return override(kind, {} if file is None else _read(file), overrides, source=str(file or "config"))


def override(kind: type[C], tree: dict[str, Any], overrides: Sequence[str], source: str) -> C:
    """A config from a nested dict with ``section.key=value`` words on top, as ``--set`` gives them.

    Raises:
        UsageError: something is wrong, and only what causes it is named: the words alone (``train.lr=a: wanted a
            number``), ``source`` alone, or both (``a.yaml with train.epochs=5: ...``).  To find out, the config is
            built again without the dict, then without one word after another, as long as the error stays the same.
    """
    words = {word: _parsed(word) for word in overrides[::-1]}  # of a word given twice the last counts
    words = dict(reversed(words.items()))
    try:
        return _with_words(kind, tree, words)
    except UsageError as error:
        raise UsageError(_blaming(kind, tree, words, source, str(error))) from None


def from_dict(kind: type[C], tree: dict[str, Any], source: str) -> C:
    """A config from a nested dict, as YAML or a checkpoint holds it; ``source`` is named in errors."""
    try:
        return _build(kind, tree, "", kind(), kind)
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None


def to_dict(config: Any) -> dict[str, Any]:
    """A config as nested plain dicts and lists, every setting included: ``from_dict(type(c), to_dict(c)) == c``."""
    return _plain(asdict(config))


def names_of(kind: type) -> list[str]:
    """Every setting of a config, ``section.key``; sections themselves are none."""
    names = list(_settings(kind, ""))
    return [name for name in names if not any(other.startswith(f"{name}.") for other in names)]


def names_in(word: str) -> list[str]:
    """What a ``section.key=value`` word sets: ``test.vote``, and of ``test={vote: true, refine: true}`` both."""
    keys, value = _parsed(word)
    return list(_paths(".".join(keys), value))


class _Loader(yaml.SafeLoader):
    """YAML, except that a setting given twice is an error and not the last one's value, and without aliases.

    A few lines of aliases of aliases stand for more settings than fit into any memory.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()
            problem = f"wanted settings written out, got the alias *{event.anchor}"
            raise yaml.composer.ComposerError(problem=problem, problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(problem=f"{key} is set twice", problem_mark=node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> Any:
    """What YAML says, in plain types.

    Raises:
        ValueError: it is none, sets something twice, or has aliases; the message is one line.
    """
    try:
        return yaml.load(text, _Loader)
    except Exception as error:  # PyYAML's own, and what its readers of numbers, dates and deep lists trip over
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise UsageError(f"{file}: larger than {LARGEST_FILE >> 10} KiB, which no config is")
        tree = parse_yaml(content.decode("utf-8"))
    except UsageError:
        raise
    except FileNotFoundError:
        raise UsageError(f"{file}: no such config") from None
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # of bytes that are no text too
        raise UsageError(f"{file}: not YAML: {error}") from None
    if tree is not None and not isinstance(tree, dict):
        raise UsageError(f"{file}: wanted settings, got {tree!r}")
    return tree or {}


_Words = dict[str, tuple[list[str], Any]]  # each with its path, parted at the dots, and its value


def _parsed(word: str) -> tuple[list[str], Any]:
    path, equals, text = word.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise UsageError(f"{word!r} is not of the form section.key=value")
    try:
        return keys, parse_yaml(text) if text else ""
    except ValueError:
        raise UsageError(f"{word!r}: the value is not YAML") from None


def _paths(path: str, value: Any) -> Iterator[str]:
    if not isinstance(value, dict) or not value:
        yield path
        return
    for key, below in value.items():
        yield from _paths(f"{path}.{key}", below)


def _with_words(kind: type[C], tree: dict[str, Any], words: _Words) -> C:
    tree = copy.deepcopy(tree)
    for (*sections, key), value in words.values():
        below = tree
        for section in sections:
            if below.get(section) is None:  # absent, or with nothing below it
                below[section] = {}
            below = below[section]
            if not isinstance(below, dict):
                raise UsageError(f"{section!r} is not a section")
        _set(below, key, value)
    return _build(kind, tree, "", kind(), kind)


def _set(section: dict[str, Any], key: Any, value: Any) -> None:
    """``{vote: true}`` for a section sets what it names, as words of their own would, and leaves the rest alone.

    Nothing at all, ``test=null``, sets nothing.
    """
    if isinstance(value, dict | None) and isinstance(section.get(key), dict):
        for name, below in (value or {}).items():
            _set(section[key], name, below)
    else:
        section[key] = copy.deepcopy(value)


def _blaming(kind: type, tree: dict[str, Any], words: _Words, source: str, said: str) -> str:
    """An error's text behind what it takes for it to be said, see :func:`override`."""

    def says_the_same(tree: dict[str, Any], words: _Words) -> bool:
        try:
            _with_words(kind, tree, words)
        except UsageError as error:
            return str(error) == said
        return False

    takes_source = not says_the_same({}, words)
    tree = tree if takes_source else {}
    for word in list(words):
        fewer = {other: parsed for other, parsed in words.items() if other != word}
        words = fewer if says_the_same(tree, fewer) else words
    names = " and ".join(words)
    if takes_source:
        return f"{source} with {names}: {said}" if words else f"{source}: {said}"
    if len(words) == 1:
        said = said.removeprefix(names.partition("=")[0] + ": ")  # the word begins with it already
    return f"{names}: {said}"


def _build(kind: type[C], tree: Any, path: str, default: C, root: type) -> C:
    """``kind`` from the settings below ``path``; what they leave out is as in ``default``."""
    if tree is None:  # a section with nothing below it
        return default
    if not isinstance(tree, dict):
        raise UsageError(f"{path}: wanted settings, got {tree!r}")
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {f.name: getattr(default, f.name) for f in fields(kind)}  # type: ignore[arg-type]
    for key, value in tree.items():
        place = f"{path}.{key}" if path else str(key)
        if key not in values:
            raise UsageError(f"unknown setting {place!r}{_nearest(place, root)}")
        if is_dataclass(hints[key]):
            values[key] = _build(hints[key], value, place, values[key], root)  # type: ignore[arg-type]
        else:
            values[key] = _convert(value, hints[key], place)
    return kind(**values)


def _nearest(place: str, root: type) -> str:
    """A known setting that may have been meant: one of that name elsewhere, or one spelt much alike."""
    section, _, name = place.rpartition(".")
    names = [known.rpartition(".") for known in _settings(root, "")]
    elsewhere = [f"{above}.{last}" for above, _, last in names if last == name]
    here = difflib.get_close_matches(name, [last for above, _, last in names if above == section], n=1, cutoff=0.5)
    close = elsewhere or [f"{section}.{last}".lstrip(".") for last in here]
    return f"; did you mean {close[0]!r}?" if close else ""


def _settings(kind: type, path: str) -> Iterator[str]:
    for name, hint in typing.get_type_hints(kind).items():
        yield path + name
        if is_dataclass(hint):
            yield from _settings(hint, f"{path}{name}.")  # type: ignore[arg-type]


def _convert(value: Any, wanted: Any, place: str) -> Any:
    if typing.get_origin(wanted) is tuple:
        return _convert_tuple(value, typing.get_args(wanted), place)
    if wanted is float and isinstance(value, str):
        try:  # YAML 1.1 reads 1e-4 as a word
            return float(value)
        except ValueError:
            raise UsageError(f"{place}: wanted a number, got {value!r}") from None
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # it has hundreds of digits, and is what a float of so many is
            return math.inf if value > 0 else -math.inf
    if wanted is str and value is None:
        return ""
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        names = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
        raise UsageError(f"{place}: wanted {names[wanted]}, got {value!r}")
    return value


def _convert_tuple(value: Any, inner: tuple[Any, ...], place: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise UsageError(f"{place}: wanted a list, got {value!r}")
    kinds = [inner[0]] * len(value) if inner[1:] == (Ellipsis,) else list(inner)
    if len(kinds) != len(value):
        raise UsageError(f"{place}: wanted {len(kinds)} values, got {value!r}")
    return tuple(_convert(v, k, f"{place}[{i}]") for i, (v, k) in enumerate(zip(value, kinds, strict=True)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
