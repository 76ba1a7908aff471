"""Payloads and jobs from arguments, files and standard input. Every input is bounded."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from contract_runtime.safe_text import shorten

STDIN = "-"
MAX_INPUT = 8 * 1024 * 1024
"""Bytes of one payload, or of one line with a job. The client's limit is lower and names the field."""
JOB_FIELDS = ("type", "payload", "labels", "id")
"""What a line can have that describes a job."""


class WrongInput(ValueError):
    """What the user gave is wrong. The text says what to write instead."""


def read_payload(pairs: Sequence[str], data: str | None, file: str | None) -> dict[str, Any]:
    """The payload from exactly one source; an empty object if there is none. Raises WrongInput."""
    if sum((bool(pairs), data is not None, file is not None)) > 1:
        raise WrongInput("give the payload once: as key=value, with --data or with --file")
    if pairs:
        return payload_of_pairs(pairs)
    if data == STDIN or file is not None:
        with opened(file or STDIN) as source:
            text = source.read(MAX_INPUT + 1)
        name = "standard input" if file in (None, STDIN) else str(file)
        return parse_object(text, name)
    return {} if data is None else parse_object(data.encode(errors="surrogatepass"), "--data")


def payload_of_pairs(pairs: Sequence[str]) -> dict[str, Any]:
    """`key=value` is a string, `key:=JSON` any JSON value. Raises WrongInput."""
    payload: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        is_json = key.endswith(":")
        key = key.removesuffix(":")
        if not sign or not key:
            raise WrongInput(
                f"{shorten(pair, 60)!r} is not key=value; write input=hello, or count:=3 for a number"
            )
        if key in payload:
            raise WrongInput(f"{key!r} is given twice")
        payload[key] = parse_json(value.encode(errors="surrogatepass"), pair) if is_json else value
    return payload


def parse_object(text: bytes, name: str) -> dict[str, Any]:
    """A JSON object. Raises WrongInput."""
    value = parse_json(text, name)
    if not isinstance(value, dict):
        raise WrongInput(f"{name} must be a JSON object such as " + '{"input": "hello"}')
    return value


def parse_json(text: bytes, name: str) -> Any:
    """Raises WrongInput, also for a key that comes twice and for values that JSON does not have."""
    if len(text) > MAX_INPUT:
        raise WrongInput(f"{name} must have at most {MAX_INPUT} bytes")
    try:
        return json.loads(text.decode(), object_pairs_hook=_each_once, parse_constant=_not_json)
    except UnicodeDecodeError:
        problem = "it is not UTF-8"
    except json.JSONDecodeError as error:
        problem = f"{error.msg} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        problem = "it is nested too deeply"
    except ValueError as error:
        problem = str(error)
    raise WrongInput(f"{shorten(name, 60)} is not JSON: {problem}")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {shorten(twice, 60)!r} comes twice")
    return found


def _not_json(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def read_labels(pairs: Sequence[str]) -> dict[str, str]:
    """Labels from `key=value`. Raises WrongInput."""
    labels = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise WrongInput(f"{shorten(pair, 60)!r} is not a label; write team=billing")
        labels[key] = value
    return labels


def read_lines(source: BinaryIO, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON object of each line, with the line's number. Empty lines are skipped. Raises WrongInput."""
    number = 0
    while line := source.readline(MAX_INPUT + 1):
        number += 1
        if stripped := line.strip():
            yield number, parse_object(stripped, f"{name}, line {number},")


def job_fields(line: Mapping[str, Any], job_type: str | None, where: str) -> dict[str, Any]:
    """The arguments of NewJob for a line: a payload if `job_type` is given, else a job. Raises WrongInput."""
    if job_type is not None:
        return {"type": job_type, "payload": dict(line)}
    if unknown := [key for key in line if key not in JOB_FIELDS]:
        raise WrongInput(
            f"{where} has {shorten(unknown[0], 60)!r}; a job has {', '.join(JOB_FIELDS)}. If the lines are "
            "payloads, name the job type: jobctl submit TYPE --ndjson FILE"
        )
    if "type" not in line:
        raise WrongInput(
            f"{where} has no type; add it, or name the type of all: jobctl submit TYPE --ndjson FILE"
        )
    if not isinstance(line.get("labels", {}), dict):
        raise WrongInput(f"{where} has labels that are no JSON object")
    return dict(line)


@contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """The file, or standard input for `-`. Raises WrongInput."""
    if file == STDIN:
        yield sys.stdin.buffer
        return
    try:
        source = Path(file).open("rb")  # noqa: SIM115 - only errors of opening it are handled here
    except OSError as error:
        raise WrongInput(f"{file} cannot be read: {error.strerror}") from None
    with source:
        yield source
